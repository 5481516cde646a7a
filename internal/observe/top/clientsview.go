package top

import (
	"fmt"
	"strings"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// clientsView draws the second screen: the connections of one worker. It renders only the
// visible rows.
func (m *model) clientsView(height int) []string {
	t, c := m.theme(), m.clients
	state := m.worker()
	out := []string{join([]piece{
		{fmt.Sprintf("worker %d", c.slot), t.bold, 0},
		{fmt.Sprintf("pid %d", c.pid), t.plain, 4},
		{pick(state == "", "exited", "● "+clean(state, 12)), t.state(state), 2},
		{pick(m.paused, "PAUSED", ""), t.warn, 1},
		{pick(c.loaded, human.Plural(c.total, "connection", "connections"), ""), t.bold, 3},
		{pick(c.total > len(c.rows) && c.loaded, human.Count(len(c.rows))+" listed", ""), t.warn, 5},
		{m.tally(), t.faint, 6},
	}, 2, m.width)}
	if !c.loaded {
		return append(out, "", clean("loading "+ellipsis, m.width))
	}
	if len(c.rows) == 0 {
		return append(out, "", clean(pick(c.err == nil, "no connections", "not available"), m.width))
	}
	if height >= 12 {
		out = append(out, "")
	}
	l := fit(c.columns(m.width), m.width, c.by)
	if height >= 3 {
		out = append(out, l.head(t, m.width, &c.sheet))
	}
	detail := pick(height >= 12, 4, 0)
	out = append(out, l.rows(t, m.width, &c.sheet, height-len(out)-detail)...)
	if detail > 0 {
		out = append(filled(out, height-detail), m.rule(t))
		out = append(out, m.clientDetail(t, c.rows[c.cursor.at])...)
	}
	return out
}

// tally returns the number of connections in each state.
func (m *model) tally() string {
	var parts []string
	for _, s := range []string{"send", "recv", "idle", "end"} {
		if n := m.clients.states[s]; n > 0 {
			parts = append(parts, human.Count(n)+" "+s)
		}
	}
	return strings.Join(parts, ", ")
}

// clientDetail returns three lines about the selected connection.
func (m *model) clientDetail(t theme, c *client) []string {
	first := fmt.Sprintf("%s %s for %s", clean(c.Client, 60), clean(c.State, 12), age(c.Age))
	if c.Protocol != "" {
		first += ", " + clean(c.Protocol, 10)
	}
	if c.Streams > 1 {
		first += ", " + human.Plural(c.Streams, "request", "requests")
	}
	second := "nothing sent yet"
	if share, ok := c.share(); ok {
		second = fmt.Sprintf("%s of %s sent (%s)", human.Bytes(c.Sent), human.Bytes(c.Size), wholePercent(share))
	} else if c.Sent > 0 {
		second = human.Bytes(c.Sent) + " sent"
	} else if c.State != status.ConnSending {
		second = ""
	}
	if v, ok := c.rate(); ok {
		second += ", " + human.Bytes(v) + "/s"
	}
	if v, ok := c.eta(); ok {
		second += ", " + age(v) + " to go"
	}
	return []string{
		t.plain.Render(clean(first, m.width)),
		t.plain.Render(clean(second, m.width)),
		t.faint.Render(clean(c.Line, m.width)),
	}
}
