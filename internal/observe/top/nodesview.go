package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/human"
)

// View draws the table, or the node that is open.
func (n *nodes) View() tea.View {
	if n.open != nil {
		return n.open.View()
	}
	return window(n.width, n.height, n.lines)
}

func (n *nodes) lines() []string {
	w, h := n.width, n.height
	t := newTheme(n.models[0].dark, false)
	statuses := n.statuses()
	out := []string{n.title(t, statuses)}
	if h >= 8 {
		out = append(out, "")
	}
	wrong := nodeProblems(statuses)
	wrong = wrong[:min(len(wrong), max(0, (h-len(out)-len(n.models)-3)))]
	l := n.layout()
	out = append(out, l.head(t, w, &n.table))
	below := 1 // the footer
	if len(wrong) > 0 {
		below += 1 + len(wrong)
	}
	out = filled(append(out, l.rows(t, w, &n.table, h-len(out)-below)...), h-below)
	if len(wrong) > 0 {
		out = append(out, t.faint.Render(strings.Repeat("─", w)))
		for _, p := range wrong {
			out = append(out, t.problem(p).Render(clean(p.Text, w)))
		}
	}
	return append(out, n.footer(t))
}

// title returns the first line: the sums of all nodes.
func (n *nodes) title(t theme, statuses []NodeStatus) string {
	f, ready := sum(statuses)
	good := pick(ready == len(statuses), t.good, t.bad)
	return join([]piece{
		{"Phalanx", t.bold, 6},
		{fmt.Sprintf("● %d of %s ready", ready, human.Plural(len(statuses), "node", "nodes")), good, 0},
		{pick(n.paused, "PAUSED", ""), t.warn, 1},
		{rate(f.Rate) + " req/s", t.bold, 2},
		{human.Bytes(f.Bandwidth) + "/s", t.bold, 3},
		{fmt.Sprintf("%s connections, %s idle", human.Count(f.Active), human.Count(f.Idle)), t.plain, 4},
		{highest(f.P99), t.plain, 5},
	}, 2, n.width)
}

// footer lists the keys.
func (n *nodes) footer(t theme) string {
	pause := piece{"p pause", t.faint, 4}
	if n.paused {
		pause = piece{"p resume", t.warn, 2}
	}
	return join([]piece{
		{"q quit", t.faint, 0}, {"↑↓ select", t.faint, 5}, {"enter open the node", t.faint, 1},
		{"s sort", t.faint, 3}, {"r reverse", t.faint, 6}, pause,
	}, 2, n.width)
}
