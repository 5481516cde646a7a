package top

import (
	"strings"

	"charm.land/lipgloss/v2"

	"phalanx/internal/observe/status"
)

// theme is a set of styles. Colours only repeat what the text says, so nothing is lost on
// a terminal without them.
type theme struct {
	plain, faint, bold, head, selected lipgloss.Style
	good, busy, warn, bad              lipgloss.Style
	graph                              lipgloss.Style
}

// newTheme returns the theme for a dark or a light background. If the data shown is stale,
// everything is dimmed.
func newTheme(dark, stale bool) theme {
	s := lipgloss.NewStyle()
	if stale {
		f := s.Faint(true)
		return theme{plain: f, faint: f, bold: f, head: f, selected: f.Reverse(true), good: f, busy: f, warn: f, bad: f, graph: f}
	}
	choose := lipgloss.LightDark(dark)
	colour := func(light, dark string) lipgloss.Style {
		return s.Foreground(choose(lipgloss.Color(light), lipgloss.Color(dark)))
	}
	return theme{
		plain:    s,
		faint:    colour("#6c6c6c", "#8a8a8a"),
		bold:     s.Bold(true),
		head:     colour("#005f87", "#87afd7").Bold(true),
		selected: s.Reverse(true),
		good:     colour("#007a3d", "#5fd787").Bold(true),
		busy:     colour("#005faf", "#5fafff").Bold(true),
		warn:     colour("#8a5a00", "#ffd75f").Bold(true),
		bad:      colour("#c4001a", "#ff6f6f").Bold(true),
		graph:    colour("#0087af", "#5fd7d7"),
	}
}

// state returns the style of the state of a pool, a worker or a connection.
func (t theme) state(name string) lipgloss.Style {
	switch name {
	case status.Serving, status.ConnSending: // a worker's is the same word
		return t.good
	case status.Starting, status.ConnReceiving:
		return t.busy
	case status.Draining, status.LameDuck, status.ConnEnding:
		return t.warn
	case status.WorkerKilled, status.WorkerBackoff, status.WorkerQuarantined:
		return t.bad
	}
	return t.faint
}

// problem returns the style of a problem.
func (t theme) problem(p status.Problem) lipgloss.Style {
	return pick(p.Severity == status.Error, t.bad, t.warn)
}

// line is a line being written, of limited width.
type line struct {
	b    strings.Builder
	left int // cells
}

// put appends text, shortened to the cells that are left.
func (l *line) put(style lipgloss.Style, s string) {
	if l.left <= 0 || s == "" {
		return
	}
	s = clean(s, l.left)
	l.left -= textWidth(s)
	l.b.WriteString(style.Render(s))
}

// full returns the line, padded with spaces to its full width.
func (l *line) full(style lipgloss.Style) string {
	if l.left > 0 {
		l.b.WriteString(style.Render(strings.Repeat(" ", l.left)))
		l.left = 0
	}
	return l.b.String()
}

func (l *line) String() string { return l.b.String() }

// piece is a part of a line. If there is no room for all, those with the highest rank are
// left out first.
type piece struct {
	text  string
	style lipgloss.Style
	rank  int
}

// join returns a line of as many pieces as fit, with a gap between them.
func join(pieces []piece, gap, width int) string {
	kept := make([]bool, len(pieces))
	for rank, used := 0, 0; rank < 16; rank++ {
		for i, p := range pieces {
			need := textWidth(p.text)
			if used > 0 {
				need += gap
			}
			if p.rank == rank && p.text != "" && (used+need <= width || used == 0) {
				kept[i], used = true, used+need
			}
		}
	}
	w := line{left: width}
	first := true
	for i, p := range pieces {
		if !kept[i] {
			continue
		}
		if !first {
			w.put(lipgloss.NewStyle(), strings.Repeat(" ", gap))
		}
		w.put(p.style, p.text)
		first = false
	}
	return w.String()
}
