package top

import (
	"strings"

	"charm.land/lipgloss/v2"

	"phalanx/internal/observe/status"
)

// theme is how things look. Every state is also told in words: a terminal
// without colours loses nothing but beauty.
type theme struct {
	plain, faint, bold, head, selected lipgloss.Style
	good, busy, warn, bad              lipgloss.Style
	graph                              lipgloss.Style
}

// newTheme returns the theme for a dark or a light background; a stale one is dimmed
// as a whole, because the data is out of date.
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

// state is the style of a pool's state, a worker's or a connection's.
func (t theme) state(name string) lipgloss.Style {
	switch name {
	case status.Serving, status.ConnSending: // a worker's is the same word
		return t.good
	case status.Starting, status.ConnReceiving:
		return t.busy
	case status.Draining, status.LameDuck, status.ConnEnding:
		return t.warn
	case status.WorkerBackoff, status.WorkerQuarantined:
		return t.bad
	}
	return t.faint
}

// problem returns the style of a problem.
func (t theme) problem(p status.Problem) lipgloss.Style {
	return pick(p.Severity == status.Error, t.bad, t.warn)
}

// line is one that is being written; it never gets wider than it may.
type line struct {
	b    strings.Builder
	left int // cells
}

// put adds clean text.
func (l *line) put(style lipgloss.Style, s string) {
	if l.left <= 0 || s == "" {
		return
	}
	s = clean(s, l.left)
	l.left -= breadth(s)
	l.b.WriteString(style.Render(s))
}

// full fills the line up and returns it.
func (l *line) full(style lipgloss.Style) string {
	if l.left > 0 {
		l.b.WriteString(style.Render(strings.Repeat(" ", l.left)))
		l.left = 0
	}
	return l.b.String()
}

func (l *line) String() string { return l.b.String() }

// piece is a part of a line that is left out when there is no room for it:
// the highest rank first.
type piece struct {
	text  string
	style lipgloss.Style
	rank  int
}

// join writes as many pieces as have room, with a gap between them.
func join(pieces []piece, gap, width int) string {
	kept := make([]bool, len(pieces))
	for rank, used := 0, 0; rank < 16; rank++ {
		for i, p := range pieces {
			need := breadth(p.text)
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
