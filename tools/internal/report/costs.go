package report

import (
	"fmt"
	"math"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/stats"
)

// costsSection returns the section about the cost of observability.
func costsSection(v view) (string, []document.Block) {
	level := v.level(record.KeepAlive)
	t := document.Table{
		Caption: fmt.Sprintf("%s, keep-alive; × is the ratio to the pool with neither in the same round: median, lowest and highest", plural(level, "connection")),
		Head:    []string{"Pool", "Requests/s", "×", "Goal", "CPU µs per request", "×"},
	}
	for _, row := range []struct{ server, name, want string }{
		{"process", "neither", ""},
		{record.Seen, "request ids, and metrics scraped each second", "≥ 0.97"},
		{record.Logged, "access log (combined) to a file", "≥ 0.85"},
	} {
		if math.IsNaN(v.mid(record.KeepAlive, row.server, level, record.PerSecond)) {
			continue
		}
		t.Rows = append(t.Rows, []string{
			row.name, whole(v.mid(record.KeepAlive, row.server, level, record.PerSecond)), perRound(v, row.server, level, record.PerSecond), row.want,
			micro(v.mid(record.KeepAlive, row.server, level, record.CPUPerRequest)), perRound(v, row.server, level, record.CPUPerRequest),
		})
	}
	if len(t.Rows) < 2 {
		return "", nil
	}
	seen, logged := v.ratios(record.Seen, level, record.PerSecond), v.ratios(record.Logged, level, record.PerSecond)
	finding := fmt.Sprintf("With request ids and metrics the pool serves %s × as many requests per second as without, with an access log %s ×.",
		digits(stats.Of(seen).Mid), digits(stats.Of(logged).Mid))
	return finding, []document.Block{
		document.Heading{Text: "Cost of observability"},
		document.Paragraph{Text: fmt.Sprintf("The pool with default flags, with --request-id and --admin (metrics scraped each second), and with --access-log. %s. "+
			"CPU time is that of master and workers. The counters of the scoreboard are always on, in all three.", rounds(v.rounds(record.KeepAlive)))},
		t,
	}
}

// ratios returns the ratios of a server to the pool without observability, for
// each round in which both were measured.
func (v view) ratios(server string, level int, m record.Metric) []float64 {
	without := make(map[int]float64)
	for _, r := range v.Of(record.KeepAlive, "process", level) {
		if r.Valid() {
			without[r.Round] = r.Values[m]
		}
	}
	var all []float64
	for _, r := range v.Of(record.KeepAlive, server, level) {
		if base := without[r.Round]; r.Valid() && base > 0 {
			all = append(all, r.Values[m]/base)
		}
	}
	return all
}

func perRound(v view, server string, level int, m record.Metric) string {
	if server == "process" {
		return ""
	}
	s := stats.Of(v.ratios(server, level, m))
	if math.IsNaN(s.Mid) {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", digits(s.Mid), digits(s.Low), digits(s.High))
}
