package top

const minute = 60 // seconds, and the maximum length of the history

// plan is what the first screen has room for. Rows of the table take precedence over
// everything that is not needed to read them.
type plan struct {
	head, now, base, total, detail bool
	problems                       int // number of problems
	graph                          int // lines of the graph of requests
	others                         int // graphs of one line: MB/s, p99
	blanks                         int // empty lines
}

// blank returns the nth empty line, nil if there are fewer.
func (p plan) blank(n int) []string {
	if p.blanks >= n {
		return []string{""}
	}
	return nil
}

func (m *model) plan(height int) plan {
	p := plan{head: height >= 3}
	room := height - 1 - min(len(m.workers.rows), max(2, height/2))
	if p.head {
		room--
	}
	take := func(lines int) bool {
		if lines > room {
			return false
		}
		room -= lines
		return true
	}
	p.now = take(1)
	for p.problems < min(3, len(m.pool.Problems)) && take(1) {
		p.problems++
	}
	if take(1) {
		p.graph = 1
	}
	p.detail = take(3)
	p.base = take(1)
	p.total = take(1)
	if p.graph == 1 && take(1) {
		p.graph = 2
	}
	for p.others < 2 && take(1) {
		p.others++
	}
	for p.blanks < 3 && take(1) {
		p.blanks++
	}
	for p.graph > 1 && p.graph < max(6, height/4) && room > 1 && take(1) {
		p.graph++
	}
	return p
}

// graphs draws the last minute.
func (m *model) graphs(t theme, p plan) []string {
	rates, bytes, late := m.history()
	out := m.graph(t, "req/s", rates, p.graph, rate)
	if p.others > 0 {
		out = append(out, m.graph(t, "MB/s", bytes, 1, megabytes)...)
	}
	if p.others > 1 {
		out = append(out, m.graph(t, "p99", late, 1, latency)...)
	}
	return out
}

func (m *model) history() (rates, bytes, late []float64) {
	for _, h := range m.pool.History {
		rates, bytes, late = append(rates, h.Rate), append(bytes, h.Bandwidth), append(late, h.P99)
	}
	return rates, bytes, late
}

// graph draws a name, bars, and their maximum. The last minute fills the width; in a
// window with fewer cells than seconds, only the latest part of it is drawn.
func (m *model) graph(t theme, name string, values []float64, lines int, say func(float64) string) []string {
	left, right := 7, 11
	if m.width < 40 {
		name, left = "", 0
	}
	room := max(0, m.width-left-right)
	visible := values[max(0, len(values)-room):]
	wide := stretch(visible, room)
	bars := spark(wide, room, lines)
	out := make([]string, len(bars))
	for i := range bars {
		w := line{left: m.width}
		w.put(t.faint, pad(pick(i == 0, name, ""), left, true))
		w.put(t.graph, bars[i])
		if i == 0 {
			w.put(t.faint, "  max "+say(largest(visible)))
		}
		out[i] = w.String()
	}
	return out
}

// stretch spreads the seconds of a minute over cells, the latest at the right. Cells older
// than the first value are left out.
func stretch(values []float64, cells int) []float64 {
	if cells <= minute {
		return values
	}
	var out []float64
	for i := range cells {
		if at := len(values) - minute + i*minute/cells; at >= 0 {
			out = append(out, values[at])
		}
	}
	return out
}
