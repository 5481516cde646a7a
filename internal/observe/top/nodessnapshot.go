package top

import (
	"fmt"
	"io"
	"strings"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// Snapshots is one look at several nodes as plain text, like [Snapshot]: what they do
// together, what is wrong with any, and a line for each.
func Snapshots(looks []Look, width int) string {
	if width <= 0 {
		width = 4096
	}
	var b strings.Builder
	say := func(name, format string, args ...any) {
		s := fmt.Sprintf("%-12s%s", name, fmt.Sprintf(format, args...))
		b.WriteString(strings.TrimRight(clean(s, width), " ") + "\n")
	}
	f, ready := sum(looks)
	say("nodes", "%s, %s ready", human.Count(len(looks)), human.Count(ready))
	for _, problem := range troubles(looks) {
		say(problem.Severity, "%s", problem.Text)
	}
	say("now", "%s requests/s, %s/s, p99 at most %s", rate(f.Rate), human.Bytes(f.Bandwidth), latency(f.P99))
	say("connections", "%s open, %s idle", human.Count(f.Active), human.Count(f.Idle))
	say("total", "%s, %s", human.Plural(f.Answered, "request", "requests"), human.Bytes(f.Bytes))
	b.WriteString("\n")
	rows := make([]*Look, len(looks))
	longest := 0
	for i := range looks {
		rows[i], longest = &looks[i], max(longest, len(looks[i].Name))
	}
	writeTable(&b, fit(nodeColumns(longest), min(width, 200)+1, ""), rows)
	return b.String()
}

// writeTable writes a table as plain text. It has no cursor, and so no gap before its first
// column.
func writeTable[R any](b *strings.Builder, l layout[R], rows []R) {
	cells := make([]string, len(l.columns))
	write := func(cell func(column[R]) string) {
		for i, c := range l.columns {
			cells[i] = pad(cell(c), c.width, c.left)
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, strings.Repeat(" ", l.gap)), " ") + "\n")
	}
	write(func(c column[R]) string { return c.name })
	for _, r := range rows {
		write(func(c column[R]) string { return c.cell(r, c.width) })
	}
}

// JSONs writes one look at several nodes, an array with an object for each: "admin" is its
// endpoint, and "pool" as [JSON] has it, or "error".
func JSONs(w io.Writer, looks []Look) error {
	type node struct {
		Admin string       `json:"admin"`
		Error string       `json:"error,omitempty"`
		Pool  *status.Pool `json:"pool,omitempty"`
	}
	all := make([]node, len(looks))
	for i := range looks {
		all[i].Admin = looks[i].Name
		if err := looks[i].Err; err != nil {
			all[i].Error = err.Error()
		} else {
			all[i].Pool = &looks[i].Pool
		}
	}
	return JSON(w, all)
}
