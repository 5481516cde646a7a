package report

import (
	"math"
	"slices"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/stats"
)

// view gives tables and charts access to a run.
type view struct{ record.Run }

// values returns one metric in all valid rounds.
func (v view) values(e record.Experiment, server string, level int, m record.Metric) []float64 {
	var all []float64
	for _, r := range v.Of(e, server, level) {
		if x, ok := r.Values[m]; ok && r.Valid() {
			all = append(all, x)
		}
	}
	return all
}

// spread returns the spread over the rounds; NaN if nothing was measured.
func (v view) spread(e record.Experiment, server string, level int, m record.Metric) stats.Spread {
	return stats.Of(v.values(e, server, level, m))
}

func (v view) mid(e record.Experiment, server string, level int, m record.Metric) float64 {
	return v.spread(e, server, level, m).Mid
}

// has reports whether a run has a valid result of an experiment.
func (v view) has(e record.Experiment) bool {
	return slices.ContainsFunc(v.Results, func(r record.Result) bool { return r.Experiment == e && r.Valid() })
}

// servers lists the servers for which an experiment was planned, in the order of
// all tables: the floors, Phalanx, then the peers.
func (v view) servers(e record.Experiment) []string {
	var found []string
	for _, c := range v.Head.Settings.Cells {
		if c.Experiment == e && !slices.Contains(found, c.Server) {
			found = append(found, c.Server)
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return rank(a) - rank(b) })
	return found
}

func order() []string {
	return []string{
		record.FloorC, record.FloorGo, "process", record.Seen, record.Logged, record.Verbose, "process-netpoll", "goroutine", "serial", "h2o", "nginx", "lighttpd", "fasthttp-prefork", "fasthttp",
		"net/http", "caddy", "apache-event", "apache-prefork",
	}
}

func rank(server string) int {
	if i := slices.Index(order(), server); i >= 0 {
		return i
	}
	return len(order())
}

// role returns the appearance of a server in charts.
func role(server string) chart.Role {
	switch server {
	case "process":
		return chart.First
	case "process-netpoll":
		return chart.Fourth
	case "goroutine":
		return chart.Second
	case "serial", record.FloorC, record.FloorGo:
		return chart.Third
	}
	return chart.Other
}

// best returns the level at which a server's median of a metric is greatest, and
// the median.
func (v view) best(e record.Experiment, server string, m record.Metric) (level int, value float64) {
	value = math.NaN()
	for _, l := range v.LevelsOf(e) {
		if x := v.mid(e, server, l, m); math.IsNaN(value) || x > value {
			level, value = l, x
		}
	}
	return level, value
}

// lines returns the lines of a metric over the levels, one for each server.
func (v view) lines(e record.Experiment, m record.Metric, scale float64) []chart.Line {
	var lines []chart.Line
	for _, server := range v.servers(e) {
		line := chart.Line{Role: role(server)}
		for _, level := range v.LevelsOf(e) {
			s := v.spread(e, server, level, m)
			line.Points = append(line.Points, chart.Point{
				X: float64(level), Y: s.Mid * scale, Low: s.Low * scale, High: s.High * scale,
			})
		}
		lines = append(lines, line)
	}
	return lines
}

func (v view) legend(e record.Experiment) []chart.Key {
	var keys []chart.Key
	for _, server := range v.servers(e) {
		keys = append(keys, chart.Key{Name: server, Role: role(server)})
	}
	return keys
}

// rounds returns how often each cell of an experiment was measured.
func (v view) rounds(e record.Experiment) int {
	most := 0
	for _, c := range v.Head.Settings.Cells {
		if c.Experiment == e {
			most = max(most, c.Round)
		}
	}
	return most
}

// state returns why a cell has no number: void, ended, or not measured yet.
func (v view) state(e record.Experiment, server string, level int) string {
	state := "–"
	for _, r := range v.Of(e, server, level) {
		switch {
		case r.Void != "":
			state = "void"
		case r.Skipped != "":
			state = "ended"
		}
	}
	return state
}

// cell formats a metric's median, or returns why there is none.
func (v view) cell(e record.Experiment, server string, level int, m record.Metric, write func(float64) string) string {
	x := v.mid(e, server, level, m)
	if math.IsNaN(x) {
		return v.state(e, server, level)
	}
	return write(x)
}
