package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

const (
	wideWindow  = 100 // cells from which tables have additional columns
	leastWidth  = 16
	leastHeight = 3
)

// View draws the screen, within the size of the window.
func (m *model) View() tea.View { return window(m.width, m.height, m.lines) }

// window returns a view of lines, if the window has room for them.
func window(width, height int, lines func() []string) tea.View {
	var all []string
	switch {
	case width <= 0 || height <= 0:
	case width < leastWidth || height < leastHeight:
		all = wrap("terminal too small", width, height)
	default:
		all = lines()
	}
	v := tea.NewView(strings.Join(all, "\n"))
	v.AltScreen = true
	return v
}

// filled adds empty lines up to a number of lines.
func filled(lines []string, height int) []string {
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines
}

func (m *model) lines() []string {
	footer := m.footer()
	h := m.height - len(footer)
	var body []string
	switch {
	case m.help:
		body = m.helpView(h)
	case m.clients != nil:
		body = m.clientsView(h)
	default:
		body = m.poolView(h)
	}
	return append(filled(body, h)[:h], footer...)
}

// theme returns the theme of the current screen, dimmed if its data is stale.
func (m *model) theme() theme {
	return newTheme(m.dark, m.err != nil || m.clients != nil && (m.clients.err != nil || m.worker() == ""))
}

// footer returns the notice, or else the list of keys.
func (m *model) footer() []string {
	t := newTheme(m.dark, false)
	if s := m.notice(); s != "" {
		lines := wrap(clean(s, 4*m.width), m.width, pick(m.height >= 12, 2, 1))
		for i := range lines {
			lines[i] = t.bad.Render(lines[i])
		}
		return lines
	}
	return []string{join(m.hints(t), 2, m.width)}
}

// notice returns why the data shown is stale, "" if it is not.
func (m *model) notice() string {
	switch {
	case m.stopped && m.err != nil:
		return "server stopped; waiting for it to start again"
	case m.err != nil:
		return fmt.Sprintf("no response for %d s: %v; retrying", int(m.now.Sub(m.updated).Seconds()), m.err)
	case m.clients != nil && m.clients.loaded && m.worker() == "":
		return "worker exited; press esc to go back"
	case m.clients != nil && m.clients.err != nil:
		return fmt.Sprintf("%v; press esc to go back", m.clients.err)
	}
	return ""
}

func (m *model) hints(t theme) []piece {
	pause := piece{"p pause", t.faint, 5}
	if m.paused {
		pause = piece{"p resume", t.warn, 2}
	}
	switch {
	case m.help:
		return []piece{{"esc back", t.faint, 0}, {"↑↓ scroll", t.faint, 1}}
	case m.clients != nil:
		return []piece{
			{"q quit", t.faint, 1}, {"? help", t.faint, 2}, {"esc back", t.faint, 0}, {"↑↓ select", t.faint, 6},
			{"s sort (by " + strings.ToLower(m.clients.by) + ")", t.faint, 3}, {"r reverse", t.faint, 4}, pause,
		}
	}
	return []piece{
		{"q quit", t.faint, 0}, {"? help", t.faint, 1}, {pick(m.inNodes, "esc nodes", ""), t.faint, 2}, {"↑↓ select", t.faint, 6}, {"enter connections", t.faint, 3},
		{"s sort", t.faint, 4}, {"r reverse", t.faint, 7}, pause,
	}
}

// poolView draws the first screen: the pool and its workers.
func (m *model) poolView(height int) []string {
	t := m.theme()
	s := m.plan(height)
	out := []string{m.title(t, !s.now)}
	if s.base {
		out = append(out, m.base(t))
	}
	for _, p := range m.pool.Problems[:s.problems] {
		out = append(out, t.problem(p).Render(clean(p.Text, m.width)))
	}
	out = append(out, s.blank(1)...)
	if s.now {
		out = append(out, m.nowLine(t))
	}
	if s.graph > 0 {
		out = append(out, m.graphs(t, s)...)
	}
	if s.total {
		out = append(out, m.totalLine(t))
	}
	out = append(out, s.blank(2)...)
	rows := height - len(out)
	if s.detail {
		rows -= 3 + len(s.blank(3))
	}
	l := m.table()
	if s.head {
		out = append(out, l.head(t, m.width, &m.workers))
		rows--
	}
	above := len(out)
	out = append(out, l.rows(t, m.width, &m.workers, rows)...)
	if s.detail && len(out) > above {
		out = filled(out, above+rows)
		if s.blanks >= 3 {
			out = append(out, m.rule(t))
		}
		out = append(out, m.workerDetail(t)...)
	}
	return out
}

// rule returns the line between a table and the details of its selected row.
func (m *model) rule(t theme) string { return t.faint.Render(strings.Repeat("─", m.width)) }

// title returns the first line.
func (m *model) title(t theme, withRate bool) string {
	p := m.pool
	pieces := []piece{
		{"Phalanx " + clean(p.Version, 20), t.bold, 4},
		{"● " + clean(p.State, 12), t.state(p.State), 0},
		{pick(m.paused, "PAUSED", ""), t.warn, 1},
		{pick(withRate, rate(p.Total.Rate)+pick(m.width < 30, "/s", " req/s"), ""), t.bold, 2},
		{"up " + age(p.Uptime), t.plain, 3},
		{clean(p.Address, 40), t.plain, 5},
		{fmt.Sprintf("pid %d", p.PID), t.plain, 6},
	}
	return join(pieces, 2, m.width)
}

// base returns the second line: the document roots, the pool and its certificates.
func (m *model) base(t theme) string {
	about := poolSummary(m.pool)
	return join([]piece{
		{clean("serves "+m.pool.Served(), max(20, m.width-textWidth(about)-2)), t.faint, 0}, {about, t.faint, 1}, m.certificates(t),
	}, 2, m.width)
}

// certificates describes when the first certificate expires.
func (m *model) certificates(t theme) piece {
	if len(m.pool.Certificates) == 0 {
		return piece{}
	}
	c := m.pool.Certificates[0]
	style := t.faint
	if c.Expiring {
		style = t.bad
	}
	if left := c.Left(m.pool.Time); left > 0 {
		return piece{"certificate " + age(left) + " left", style, 2}
	}
	return piece{"certificate expired", style, 0}
}

// nowLine returns the current rates of the pool.
func (m *model) nowLine(t theme) string {
	f := m.pool.Total
	cpu, _, _ := usage(&m.pool)
	return join([]piece{
		{rate(f.Rate) + " req/s", t.bold, 0}, {human.Bytes(f.Bandwidth) + "/s", t.bold, 1},
		{"p50 " + latency(f.P50) + " p99 " + latency(f.P99), t.bold, 2},
		{fmt.Sprintf("%s connections, %s idle", human.Count(f.Active), human.Count(f.Idle)), t.plain, 3},
		{"CPU " + percent(cpu) + "%", t.plain, 4},
	}, 2, m.width)
}

// totalLine returns the counters since the start of the server.
func (m *model) totalLine(t theme) string {
	f := m.pool.Total
	return join([]piece{
		{human.Plural(f.Answered, "request", "requests"), t.plain, 0}, {failures(f), t.warn, 1}, {responses(f), t.faint, 2},
		{human.Bytes(f.Bytes) + " sent", t.faint, 3}, {rescued(m.pool.Rescue), t.faint, 4},
		{handshakes(f.TLS), t.faint, 5}, {streams(f), t.faint, 6},
		{helperBrief(m.pool.Helper), t.faint, 7},
	}, 3, m.width)
}

// handshakes summarises TLS handshakes; "" if there were none.
func handshakes(s *status.TLS) string {
	if s == nil {
		return ""
	}
	text := human.Plural(s.Completed(), "TLS handshake", "TLS handshakes")
	if s.Failures() > 0 {
		text += ", " + human.Count(s.Failures()) + " failed"
	}
	return text
}

// streams summarises HTTP/2; "" if no client has used it.
func streams(f status.Figures) string {
	if f.HTTP2 == nil {
		return ""
	}
	text := human.Count(f.Versions["2"]) + " over HTTP/2"
	if n := f.HTTP2.Endings(); n > 0 {
		text += ", " + human.Plural(int(n), "connection error", "connection errors")
	}
	return text
}

// rescued summarises the rescue of dead workers' connections; "" if no worker died.
func rescued(r status.Rescue) string {
	if r.Workers+r.GivenUp == 0 {
		return ""
	}
	s := human.Count(r.Connections) + " rescued"
	if r.Closed() > 0 {
		s += ", " + human.Count(r.Closed()) + " not"
	}
	return s
}

// workerDetail returns three lines about the selected worker.
func (m *model) workerDetail(t theme) []string {
	w := m.workers.rows[m.workers.cursor.at]
	first := fmt.Sprintf("worker %d: %s", w.Slot, w.State)
	if w.PID > 0 {
		first += fmt.Sprintf(", up %s, heartbeat %s ago", age(w.Uptime), age(w.Heartbeat))
	}
	first += fmt.Sprintf(", generation %d, %s", w.Generation, human.Plural(w.Deaths, "death", "deaths"))
	second := human.Plural(w.Answered, "request", "requests")
	if r := responses(w.Figures); r != "" {
		second += " (" + r + ")"
	}
	third := fmt.Sprintf("queue %d of %d", w.Queue, w.QueueMax)
	if w.State == status.WorkerDraining {
		third += ", " + human.Bytes(w.Left) + " left to send"
	}
	if w.Keeper != 0 {
		third += fmt.Sprintf(", keeper %d", w.Keeper)
	}
	if w.Oldest != nil {
		third += ", oldest request " + oldest(w, m.width)
	}
	return []string{
		join([]piece{{clean(first, m.width), t.plain, 0}}, 0, m.width),
		join([]piece{{clean(second, m.width), t.plain, 0}, {failures(w.Figures), t.warn, 1}}, 3, m.width),
		join([]piece{{clean(third, m.width), t.plain, 0}}, 0, m.width),
	}
}
