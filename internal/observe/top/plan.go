package top

const minute = 60 // seconds of the past that there are at most

// plan is what the first screen has room for. Rows of the table come before
// all that is not needed to read them.
type plan struct {
	head, now, base, ever, detail bool
	wrong                         int // number of problems
	graph                         int // lines of the graph of requests
	others                        int // graphs of one line: MB/s, p99
	blanks                        int
}

// blank is the nth empty line, if there is one.
func (p plan) blank(n int) []string {
	if p.blanks >= n {
		return []string{""}
	}
	return nil
}

func (m *model) plan(height int) plan {
	p := plan{head: height >= 3}
	room := height - 1 - min(len(m.workers), max(2, height/2))
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
	for p.wrong < min(3, len(m.pool.Problems)) && take(1) {
		p.wrong++
	}
	if take(1) {
		p.graph = 1
	}
	p.detail = take(3)
	p.base = take(1)
	p.ever = take(1)
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

// graph is a name, bars, and their maximum. A minute is as wide as the window
// lets it be; when that is less than a cell for each second, it is the latest
// part of the minute.
func (m *model) graph(t theme, name string, values []float64, lines int, say func(float64) string) []string {
	left, right := 7, 11
	if m.width < 40 {
		name, left = "", 0
	}
	room := max(0, m.width-left-right)
	seen := values[max(0, len(values)-room):]
	wide := stretch(seen, room)
	bars := spark(wide, room, lines)
	out := make([]string, len(bars))
	for i := range bars {
		w := line{left: m.width}
		w.put(t.faint, pad(pick(i == 0, name, ""), left, true))
		w.put(t.graph, bars[i])
		if i == 0 {
			w.put(t.faint, "  max "+say(largest(seen)))
		}
		out[i] = w.String()
	}
	return out
}

// stretch draws the seconds of a minute out over so many cells, the latest at
// the right; what is older than the values stays away.
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
