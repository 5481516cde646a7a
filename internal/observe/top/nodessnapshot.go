package top

import (
	"fmt"
	"io"
	"strings"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// NodesSnapshot renders several nodes as plain text, like [Snapshot]: their sums, their
// problems, and a line for each.
func NodesSnapshot(statuses []NodeStatus, width int) string {
	if width <= 0 {
		width = 4096
	}
	var b strings.Builder
	say := func(name, format string, args ...any) {
		s := fmt.Sprintf("%-12s%s", name, fmt.Sprintf(format, args...))
		b.WriteString(strings.TrimRight(clean(s, width), " ") + "\n")
	}
	f, ready := sum(statuses)
	say("nodes", "%s, %s ready", human.Count(len(statuses)), human.Count(ready))
	for _, problem := range nodeProblems(statuses) {
		say(problem.Severity, "%s", problem.Text)
	}
	say("now", "%s requests/s, %s/s, %s", rate(f.Rate), human.Bytes(f.Bandwidth), highest(f.P99))
	say("connections", "%s open, %s idle", human.Count(f.Active), human.Count(f.Idle))
	say("total", "%s, %s", human.Plural(f.Answered, "request", "requests"), human.Bytes(f.Bytes))
	b.WriteString("\n")
	rows := make([]*NodeStatus, len(statuses))
	longest := 0
	for i := range statuses {
		rows[i], longest = &statuses[i], max(longest, len(statuses[i].Name))
	}
	writeTable(&b, fit(nodeColumns(longest), min(width, 200)+1, ""), rows)
	return b.String()
}

// highest describes the highest 99th percentile of several nodes, which that of all their
// requests together does not exceed.
func highest(p99 float64) string {
	if !(p99 > 0) {
		return "p99 " + latency(p99)
	}
	return "p99 at most " + latency(p99)
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

// NodesJSON writes several nodes as an array of objects: "admin" is the endpoint of a node,
// and "pool" is as [JSON] writes it; if the node did not respond, there is "error" instead.
func NodesJSON(w io.Writer, statuses []NodeStatus) error {
	type node struct {
		Admin string       `json:"admin"`
		Error string       `json:"error,omitempty"`
		Pool  *status.Pool `json:"pool,omitempty"`
	}
	all := make([]node, len(statuses))
	for i := range statuses {
		all[i].Admin = statuses[i].Name
		if err := statuses[i].Err; err != nil {
			all[i].Error = err.Error()
		} else {
			all[i].Pool = &statuses[i].Pool
		}
	}
	return JSON(w, all)
}
