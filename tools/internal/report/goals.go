package report

import (
	"fmt"
	"math"
	"slices"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
)

// goal is a target that the project sets for a comparison.
type goal struct {
	work string
	want string
	seen float64 // NaN if it was not measured
	met  func(seen float64) bool
	show func(float64) string
}

func atMost(limit float64) func(float64) bool {
	return func(x float64) bool { return x <= limit }
}

func atLeast(limit float64) func(float64) bool {
	return func(x float64) bool { return x >= limit }
}

// goals lists the goals, which were set before the measurement. A ratio is that
// of medians of one interleaved run.
func goals(v view) []goal {
	var all []goal
	ratio := func(work string, e record.Experiment, m record.Metric, server, peer string, limit float64) {
		all = append(all, v.ratio(work, e, m, server, peer, limit))
	}
	const cpu = ", CPU per request"
	ratio("keep-alive"+cpu, record.KeepAlive, record.CPUPerRequest, "process", "nginx", 0.62)
	ratio("keep-alive"+cpu, record.KeepAlive, record.CPUPerRequest, "process", "lighttpd", 0.95)
	ratio("keep-alive"+cpu, record.KeepAlive, record.CPUPerRequest, "process", "h2o", 1)
	ratio("one request per connection"+cpu, record.Close, record.CPUPerRequest, "process", "nginx", 0.55)
	ratio("one request per connection"+cpu, record.Close, record.CPUPerRequest, "process", "h2o", 0.85)
	ratio("keep-alive"+cpu, record.KeepAlive, record.CPUPerRequest, "process", record.FloorC, 1.20)
	ratio("one request per connection"+cpu, record.Close, record.CPUPerRequest, "process", record.FloorC, 1.15)
	for _, e := range []record.Experiment{record.KeepAlive, record.Close} {
		c := column{experiment: e, metric: record.PerSecond}
		_, best := extreme(v, c, peersOf(v), func(a, b float64) bool { return a > b })
		all = append(all, goal{kept(e) + ", requests per second", "≥ 1.00 × the best peer", v.at(c, "process") / best, atLeast(1), digits})
	}
	c := column{experiment: record.KeepAlive, metric: record.P99}
	_, best := extreme(v, c, []string{"nginx", "lighttpd", "h2o"}, func(a, b float64) bool { return a < b })
	all = append(all, goal{"keep-alive, p99 at saturation", "≤ 1.00 × the best of nginx, lighttpd and H2O", v.at(c, "process") / best, atMost(1), digits})
	ratio("one large download, CPU per GB", record.Download, record.CPUPerGB, "process", "nginx", 1)
	ratio("slow downloads, longest stall", record.Slow, record.Stall, "process", "nginx", 1)
	level := v.level(record.Slow)
	all = append(all,
		goal{"slow downloads, memory in addition to that at the start", "≤ 16.8 MB",
			v.mid(record.Slow, "process", level, record.PSS) - v.mid(record.Slow, "process", level, record.PSSIdle),
			atMost(16 << 20), func(x float64) string { return megabytes(x) + " MB" }},
		goal{"memory per idle connection", "≤ 512 B",
			v.at(column{experiment: record.Idle, metric: record.PerConnection}, "process"), atMost(512), func(x float64) string { return digits(x) + " B" }},
		goal{"keep-alive, requests per second with a log line for each, to a file", "≥ 0.75 × without",
			v.at(column{experiment: record.KeepAlive, metric: record.PerSecond}, record.Verbose) / v.at(column{experiment: record.KeepAlive, metric: record.PerSecond}, "process"),
			atLeast(0.75), digits})
	ratio("goroutine model, keep-alive"+cpu, record.KeepAlive, record.CPUPerRequest, "goroutine", "net/http", 0.75)
	ratio("goroutine model, one request per connection"+cpu, record.Close, record.CPUPerRequest, "goroutine", "net/http", 0.75)
	return measured(all)
}

// ratio returns a goal for a server relative to a peer.
func (v view) ratio(work string, e record.Experiment, m record.Metric, server, peer string, limit float64) goal {
	seen := v.at(column{experiment: e, metric: m}, server) / v.at(column{experiment: e, metric: m}, peer)
	return goal{work, fmt.Sprintf("≤ %.2f × %s", limit, label(peer)), seen, atMost(limit), digits}
}

// measured removes the goals for which nothing was measured.
func measured(all []goal) []goal {
	return slices.DeleteFunc(all, func(g goal) bool { return math.IsNaN(g.seen) || math.IsInf(g.seen, 0) })
}

func kept(e record.Experiment) string {
	if e == record.Close {
		return "one request per connection"
	}
	return "keep-alive"
}

// peersOf lists all servers that are not Phalanx.
func peersOf(v view) []string {
	return slices.DeleteFunc(v.ranked(), func(name string) bool { return target.IsPhalanx(name) || target.IsFloor(name) })
}

// extreme returns the server whose value comes before those of all others, and
// the value. The value is NaN if no server has one.
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
	t := document.Table{Caption: "Goals", Head: []string{"Measure", "Goal", "Measured", "Met"}}
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
