package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
)

// column is one number of the comparison.
type column struct {
	experiment record.Experiment
	metric     record.Metric
	name       string
	write      func(float64) string
}

func peersSection(v view) (string, []document.Block) {
	if !slices.ContainsFunc(v.Head.Settings.Experiments, func(e record.Experiment) bool { return !e.Secure() && !e.Sized() && v.has(e) }) {
		return "", nil
	}
	blocks := []document.Block{
		document.Heading{Text: "Compared with other servers"},
		document.Paragraph{Text: fmt.Sprintf("Every server is tuned for static files and has the same %s (configurations in tools/internal/target/peers.go). %s; "+
			"tables show the median with the lowest and highest value, and × is the ratio to Phalanx's pool.",
			plural(v.Head.Machine.Cores, "core"), rounds(longest(v)))},
	}
	if missing := slices.Sorted(maps.Values(v.Head.Missing)); len(missing) > 0 {
		blocks = append(blocks, document.Paragraph{Text: fmt.Sprintf("Not measured: %s.", join(missing))})
	}
	open := plural(v.level(record.KeepAlive), "connection")
	rate := func(e record.Experiment) column { return column{e, record.PerSecond, "Requests/s", whole} }
	cpu := func(e record.Experiment) column { return column{e, record.CPUPerRequest, "CPU µs per request", micro} }
	p99 := func(e record.Experiment) column { return column{e, record.P99, "p99, ms", milli} }
	pictures := []struct {
		name, title, note string
		columns           []column
	}{
		{"peers-rate", "Requests per second, " + open, "more is better; median, with lowest and highest", []column{
			rename(rate(record.KeepAlive), "keep-alive"), rename(rate(record.Close), "one request per connection")}},
		{"peers-cpu", "CPU time per request, " + open, "µs, less is better", []column{
			rename(cpu(record.KeepAlive), "keep-alive"), rename(cpu(record.Close), "one request per connection")}},
		{"peers-other", "Downloads and idle connections", "less is better", []column{
			{record.Download, record.CPUPerGB, "CPU s per GB", digits}, {record.Slow, record.Stall, "longest stall, ms", milli},
			{record.Idle, record.PerConnection, "kB per idle connection", kilobytes}}},
	}
	for _, p := range pictures {
		blocks = append(blocks, peersPicture(v, p.name, p.title, p.note, p.columns)...)
	}
	tables := []struct {
		caption string
		columns []column
	}{
		{open + ", keep-alive", []column{rate(record.KeepAlive), cpu(record.KeepAlive), p99(record.KeepAlive)}},
		{open + ", one request per connection", []column{rate(record.Close), cpu(record.Close), p99(record.Close)}},
		{fmt.Sprintf("Downloads: one of %d GB, and %s that read 16 KiB every 0.1 s", v.level(record.Download), whole(float64(v.level(record.Slow)))), []column{
			{record.Download, record.CPUPerGB, "CPU s per GB", digits}, {record.Slow, record.Stall, "Longest stall, ms", milli}, {record.Slow, record.CPU, "CPU s, slow readers", digits}}},
		{plural(v.level(record.Idle), "idle connection"), []column{
			{record.Idle, record.Held, "Held", whole}, {record.Idle, record.PerConnection, "kB per connection", kilobytes}, {record.Idle, record.PSS, "Memory (PSS), MB", megabytes}}},
	}
	for _, t := range tables {
		blocks = append(blocks, peersTable(v, t.caption, t.columns)...)
	}
	blocks = append(blocks, floorTables(v)...)
	blocks = append(blocks, goalsTable(goals(v))...)
	if voids := voids(v); len(voids) > 0 {
		blocks = append(blocks, document.Paragraph{Text: "Void results:"}, document.List{Items: voids})
	}
	return peersFinding(v), blocks
}

func rename(c column, name string) column {
	c.name = name
	return c
}

func longest(v view) int {
	most := 0
	for _, e := range v.Head.Settings.Experiments {
		most = max(most, v.rounds(e))
	}
	return most
}

// level returns the level at which a comparison has all servers: the lowest, often the only one.
func (v view) level(e record.Experiment) int {
	levels := v.LevelsOf(e)
	if len(levels) == 0 {
		return 0
	}
	return levels[0]
}

func (v view) at(c column, server string) float64 {
	return v.mid(c.experiment, server, v.level(c.experiment), c.metric)
}

// ranked lists the servers of a comparison, the cheapest per request first.
func (v view) ranked() []string {
	var all []string
	for _, e := range v.Head.Settings.Experiments {
		for _, s := range v.servers(e) {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	cost := func(server string) float64 {
		if x := v.at(column{record.KeepAlive, record.CPUPerRequest, "", nil}, server); !math.IsNaN(x) {
			return x
		}
		return math.Inf(1)
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(cost(a), cost(b)), rank(a)-rank(b)) })
	return all
}

// label returns the name of a server for readers. Phalanx without flags is just Phalanx;
// its variants are named after the difference.
func label(server string) string {
	switch {
	case server == "process":
		return "Phalanx"
	case server == "h2o":
		return "H2O"
	case server == record.FloorC:
		return "floor in C"
	case server == record.FloorGo:
		return "floor in Go"
	case target.IsPhalanx(server):
		return "Phalanx, " + strings.TrimPrefix(server, "process-")
	}
	return server
}

// isVariant reports whether a server is Phalanx with other flags.
func isVariant(server string) bool { return server != "process" && target.IsPhalanx(server) }

// apart lists the servers of a comparison, the cheapest first, followed by the variants
// of Phalanx.
func (v view) apart() []string {
	all := v.ranked()
	variants := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !isVariant(s) })
	return append(slices.DeleteFunc(all, isVariant), variants...)
}

// shown lists the servers of apart for which at least one of the columns was planned.
func (v view) shown(columns []column) []string {
	return slices.DeleteFunc(v.apart(), func(server string) bool {
		return !slices.ContainsFunc(columns, func(c column) bool { return slices.Contains(v.servers(c.experiment), server) })
	})
}

func peersPicture(v view, name, title, note string, columns []column) []document.Block {
	var groups []chart.Group
	shown := v.shown(columns)
	for _, c := range columns {
		if !v.has(c.experiment) {
			continue
		}
		g := chart.Group{Title: c.name}
		for i, server := range shown {
			if isVariant(server) && i > 0 && !isVariant(shown[i-1]) {
				g.Bars = append(g.Bars, chart.Bar{Y: math.NaN()}) // a gap
			}
			s := v.spread(c.experiment, server, v.level(c.experiment), c.metric)
			bar := chart.Bar{Name: label(server), Role: role(server), Y: s.Mid, Low: s.Low, High: s.High, Missing: v.state(c.experiment, server, v.level(c.experiment))}
			if !math.IsNaN(s.Mid) {
				bar.Label = c.write(s.Mid)
			}
			g.Bars = append(g.Bars, bar)
		}
		groups = append(groups, g)
	}
	if len(groups) == 0 {
		return nil
	}
	return []document.Block{document.Picture{Alt: title, Figure: chart.Bars(chart.Figure{Name: name, Title: title, Note: note}, groups...)}}
}

// planned lists the columns for which a run has cells.
func (v view) planned(columns []column) []column {
	return slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return len(v.LevelsOf(c.experiment)) == 0 })
}

func peersTable(v view, caption string, columns []column) []document.Block {
	columns = v.planned(columns)
	t := document.Table{Caption: caption, Head: []string{"Server"}}
	any := false
	for _, c := range columns {
		any = any || v.has(c.experiment)
		t.Head = append(t.Head, c.name, "×")
	}
	if !any {
		return nil
	}
	for _, server := range v.shown(columns) {
		cells := []string{v.titled(server)}
		for _, c := range columns {
			s := v.spread(c.experiment, server, v.level(c.experiment), c.metric)
			if math.IsNaN(s.Mid) {
				cells = append(cells, v.state(c.experiment, server, v.level(c.experiment)), "")
				continue
			}
			text := c.write(s.Mid)
			if s.High > s.Low {
				text += fmt.Sprintf(" (%s–%s)", c.write(s.Low), c.write(s.High))
			}
			cells = append(cells, text, digits(s.Mid/v.at(c, "process")))
		}
		t.Rows = append(t.Rows, cells)
	}
	return []document.Block{t}
}

// voids lists the reasons of void results, each once.
func voids(v view) []string {
	var all []string
	times := make(map[string]int)
	for _, r := range v.Results {
		if r.Void == "" {
			continue
		}
		line := fmt.Sprintf("%s, %s: %s", label(r.Server), r.Experiment, strings.Join(strings.Fields(r.Void), " "))
		if times[line]++; times[line] == 1 {
			all = append(all, line)
		}
	}
	for i, line := range all {
		if times[line] > 1 {
			all[i] += fmt.Sprintf(" (%d times)", times[line])
		}
	}
	return all
}

// peersFinding returns a sentence about Phalanx's rank among all servers.
func peersFinding(v view) string {
	pool := func(c column) float64 { return v.at(c, "process") }
	var parts []string
	for _, c := range []column{
		{record.KeepAlive, record.CPUPerRequest, "CPU per request with keep-alive", func(x float64) string { return micro(x) + " µs" }},
		{record.Close, record.CPUPerRequest, "CPU per request without", func(x float64) string { return micro(x) + " µs" }},
		{record.Download, record.CPUPerGB, "CPU per GB", span},
		{record.Idle, record.PerConnection, "memory per idle connection", func(x float64) string { return digits(x) + " B" }},
	} {
		if math.IsNaN(pool(c)) {
			continue
		}
		place, of := 1, 0
		for _, server := range v.ranked() {
			x := v.at(c, server)
			if isVariant(server) || target.IsFloor(server) || math.IsNaN(x) {
				continue
			}
			of++
			if x < pool(c) {
				place++
			}
		}
		parts = append(parts, fmt.Sprintf("%s is %s (rank %d of %d)", c.name, c.write(pool(c)), place, of))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Compared with other servers, the pool's " + strings.TrimSuffix(join(parts), ".") + "."
}
