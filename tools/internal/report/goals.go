package report

import (
	"fmt"
	"math"
	"slices"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
)

// goal is something that the project wants to be true of a comparison.
type goal struct {
	work string
	want string
	seen float64 // NaN where it was not measured
	met  func(seen float64) bool
	show func(float64) string
}

func atMost(limit float64) func(float64) bool {
	return func(x float64) bool { return x <= limit }
}

func atLeast(limit float64) func(float64) bool {
	return func(x float64) bool { return x >= limit }
}

// goals lists what was wanted before it was measured. A ratio is that of
// medians of one interleaved run.
func goals(v view) []goal {
	var all []goal
	ratio := func(work string, e record.Experiment, m record.Metric, server, peer string, limit float64) {
		all = append(all, v.ratio(work, e, m, server, peer, limit))
	}
	const cpu = ", CPU per request"
	ratio("kept open"+cpu, record.KeepAlive, record.CPUPerRequest, "process", "nginx", 0.62)
	ratio("kept open"+cpu, record.KeepAlive, record.CPUPerRequest, "process", "lighttpd", 0.95)
	ratio("kept open"+cpu, record.KeepAlive, record.CPUPerRequest, "process", "h2o", 1)
	ratio("closed"+cpu, record.Close, record.CPUPerRequest, "process", "nginx", 0.60)
	ratio("closed"+cpu, record.Close, record.CPUPerRequest, "process", "h2o", 0.85)
	ratio("kept open"+cpu, record.KeepAlive, record.CPUPerRequest, "process", record.FloorC, 1.20)
	ratio("closed"+cpu, record.Close, record.CPUPerRequest, "process", record.FloorC, 1.15)
	for _, e := range []record.Experiment{record.KeepAlive, record.Close} {
		c := column{experiment: e, metric: record.PerSecond}
		_, best := extreme(v, c, peersOf(v), func(a, b float64) bool { return a > b })
		all = append(all, goal{kept(e) + ", requests per second", "≥ 1.00 × the best of the others", v.at(c, "process") / best, atLeast(1), digits})
	}
	c := column{experiment: record.KeepAlive, metric: record.P99}
	_, best := extreme(v, c, []string{"nginx", "lighttpd", "h2o"}, func(a, b float64) bool { return a < b })
	all = append(all, goal{"kept open, p99 at saturation", "≤ 1.00 × the best of nginx, lighttpd and h2o", v.at(c, "process") / best, atMost(1), digits})
	ratio("one large download, CPU per GB", record.Download, record.CPUPerGB, "process", "nginx", 1)
	ratio("slow downloads, longest stall", record.Slow, record.Stall, "process", "nginx", 1)
	level := v.level(record.Slow)
	all = append(all,
		goal{"slow downloads, memory beyond the start", "≤ 16.8 MB",
			v.mid(record.Slow, "process", level, record.PSS) - v.mid(record.Slow, "process", level, record.PSSIdle),
			atMost(16 << 20), func(x float64) string { return megabytes(x) + " MB" }},
		goal{"idle connections, memory of each", "≤ 512 B",
			v.at(column{experiment: record.Idle, metric: record.PerConnection}, "process"), atMost(512), func(x float64) string { return digits(x) + " B" }},
		goal{"kept open, requests per second with a line of log for each, into a file", "≥ 0.75 × silent",
			v.at(column{experiment: record.KeepAlive, metric: record.PerSecond}, record.Verbose) / v.at(column{experiment: record.KeepAlive, metric: record.PerSecond}, "process"),
			atLeast(0.75), digits})
	ratio("the goroutine model, kept open"+cpu, record.KeepAlive, record.CPUPerRequest, "goroutine", "net/http", 0.75)
	ratio("the goroutine model, closed"+cpu, record.Close, record.CPUPerRequest, "goroutine", "net/http", 0.75)
	return measured(all)
}

// ratio is a goal for a server beside a peer.
func (v view) ratio(work string, e record.Experiment, m record.Metric, server, peer string, limit float64) goal {
	seen := v.at(column{experiment: e, metric: m}, server) / v.at(column{experiment: e, metric: m}, peer)
	return goal{work, fmt.Sprintf("≤ %.2f × %s", limit, label(peer)), seen, atMost(limit), digits}
}

// measured leaves out the goals of which nothing was seen.
func measured(all []goal) []goal {
	return slices.DeleteFunc(all, func(g goal) bool { return math.IsNaN(g.seen) || math.IsInf(g.seen, 0) })
}

func kept(e record.Experiment) string {
	if e == record.Close {
		return "closed"
	}
	return "kept open"
}

// peersOf lists all servers that are not Phalanx.
func peersOf(v view) []string {
	return slices.DeleteFunc(v.ranked(), func(name string) bool { return target.IsPhalanx(name) || target.IsFloor(name) })
}

// extreme is the server whose number comes before all others', NaN if none
// has one.
func extreme(v view, c column, servers []string, before func(a, b float64) bool) (name string, value float64) {
	value = math.NaN()
	for _, server := range servers {
		if x := v.at(c, server); !math.IsNaN(x) && (math.IsNaN(value) || before(x, value)) {
			name, value = server, x
		}
	}
	return name, value
}

func goalsTable(all []goal) []document.Block {
	t := document.Table{Caption: "What was wanted, and what was seen", Head: []string{"Work", "Wanted", "Seen", "Met"}}
	for _, g := range all {
		met := "no"
		if g.met(g.seen) {
			met = "yes"
		}
		t.Rows = append(t.Rows, []string{g.work, g.want, g.show(g.seen), met})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []document.Block{t}
}
