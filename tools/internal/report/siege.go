package report

import (
	"fmt"
	"math"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
	"phalanx/tools/internal/plan"
	"phalanx/tools/internal/record"
)

func siegeSection(v view) (string, []document.Block) {
	const e = record.Siege
	if !v.has(e) {
		return "", nil
	}
	blocks := []document.Block{document.Heading{Text: "Under siege"}, document.Paragraph{Text: fmt.Sprintf(
		"siege --benchmark requested /index.html (%s bytes) for %d s with each number of users, each request on a connection of its own. "+
			"siege prints response times in steps of 10 ms; the line below has the same mean in finer steps, by Little's law: siege's concurrency divided by its transaction rate.",
		whole(float64(v.Head.Settings.Page)), v.Head.Settings.Seconds)}}
	blocks = append(blocks, document.Picture{Alt: "Transactions per second over the number of users, for each model", Figure: chart.Panels(chart.Figure{
		Name: "siege", Title: "Pages served per second under siege", Note: "more is better; one page per connection",
		Legend: v.legend(e),
	}, chart.Panel{Axes: chart.Axes{X: "concurrent users", Y: "transactions per second", Levels: v.LevelsOf(e), Zero: true}, Lines: v.lines(e, record.PerSecond, 1)})})
	for _, server := range v.servers(e) {
		blocks = append(blocks, siegeTable(v, server))
		if text := ended(v, e, server); text != "" {
			blocks = append(blocks, document.Paragraph{Text: text})
		}
	}
	blocks = append(blocks, insideTable(v, e), document.Paragraph{Text: besideSiege(v)})
	return siegeFinding(v), blocks
}

func siegeTable(v view, server string) document.Table {
	t := document.Table{Caption: server + what(server), Head: []string{"Number of concurrent users"}}
	for _, l := range v.LevelsOf(record.Siege) {
		t.Head = append(t.Head, whole(float64(l)))
	}
	seconds := func(v float64) string { return fmt.Sprintf("%.2f", v) }
	for _, row := range []struct {
		name   string
		metric record.Metric
		write  func(float64) string
	}{
		{"Response time (s)", record.Response, seconds},
		{"the same, finer (ms)", record.Mean, milli},
		{"Transaction rate (/s)", record.PerSecond, whole},
		{"Successful transactions", record.Requests, whole},
		{"Failed transactions", record.Failed, whole},
		{"Longest transaction (s)", record.Longest, seconds},
		{"Shortest transaction (s)", record.Shortest, seconds},
	} {
		cells := []string{row.name}
		for _, l := range v.LevelsOf(record.Siege) {
			cells = append(cells, v.cell(record.Siege, server, l, row.metric, row.write))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

func what(server string) string {
	switch server {
	case "process":
		return ": a pool of worker processes"
	case "process-netpoll":
		return ": the same pool, with Go's network poller in place of the event loop"
	case "goroutine":
		return ": one process with a goroutine per connection"
	case "serial":
		return ": the original server, one connection at a time"
	}
	return ""
}

// ended returns a note on where and why a column ends or has a gap.
func ended(v view, e record.Experiment, server string) string {
	for _, l := range v.LevelsOf(e) {
		for _, r := range v.Of(e, server, l) {
			switch {
			case r.Void != "":
				return fmt.Sprintf("At %s users the result of %s is void: %s.", whole(float64(l)), server, r.Void)
			case r.Values[record.ErrorShare] > plan.MostErrors:
				return fmt.Sprintf("The column of %s ends here: at %s users %.1f %% of the requests failed, more than %.0f %%.",
					server, whole(float64(l)), r.Values[record.ErrorShare]*100, plan.MostErrors*100)
			}
		}
	}
	return ""
}

// insideTable returns the table of what the server's processes used.
func insideTable(v view, e record.Experiment) document.Table {
	t := document.Table{
		Caption: "The server's processes, from /proc",
		Head:    []string{"Model, users", "CPU µs per request", "Cores busy", "Memory (PSS), MB", "Context switches per request", "involuntary", "Busiest worker's CPU"},
	}
	for _, server := range v.servers(e) {
		for _, l := range v.LevelsOf(e) {
			get := func(m record.Metric) float64 { return v.mid(e, server, l, m) }
			voluntary, forced, n := get(record.Voluntary), get(record.Involuntary), get(record.Requests)
			if math.IsNaN(n) || n == 0 {
				continue
			}
			uneven := "one worker"
			if u := get(record.UnevenCPU); !math.IsNaN(u) {
				uneven = digits(u) + " × mean"
			}
			t.Rows = append(t.Rows, []string{
				fmt.Sprintf("%s, %s", server, whole(float64(l))), micro(get(record.CPUPerRequest)),
				digits(get(record.CPU) / get(record.Seconds)), megabytes(get(record.PSS)),
				digits((voluntary + forced) / n), digits(forced / n), uneven,
			})
		}
	}
	return t
}

func besideSiege(v view) string {
	const e = record.Siege
	server := "process"
	level, rate := v.best(e, server, record.PerSecond)
	cores := v.mid(e, server, level, record.CPU) / v.mid(e, server, level, record.Seconds)
	if math.IsNaN(cores) {
		return ""
	}
	return fmt.Sprintf("siege runs on the same %s as the server. At its best (%s users, %s pages/s) the process pool used %s of them; "+
		"the rest went to siege, interrupts and other programs (%s cores), so these rates depend on the client as much as on the server. "+
		"The CPU time per request depends far less on the client.",
		plural(v.Head.Machine.Cores, "core"), whole(float64(level)), whole(rate), digits(cores), digits(v.mid(e, server, level, record.Others)))
}

func siegeFinding(v view) string {
	const e = record.Siege
	level, pool := v.best(e, "process", record.PerSecond)
	_, goroutine := v.best(e, "goroutine", record.PerSecond)
	_, serial := v.best(e, "serial", record.PerSecond)
	if math.IsNaN(pool) {
		return ""
	}
	text := fmt.Sprintf("Under siege, the process pool served up to %s pages per second (at %s users)", whole(pool), whole(float64(level)))
	if !math.IsNaN(goroutine) {
		text += fmt.Sprintf(", %s the goroutine model (%s)", against(pool, goroutine, "more", "less"), whole(goroutine))
	}
	if !math.IsNaN(serial) {
		text += fmt.Sprintf(" and %s the original serial server (%s)", against(pool, serial, "more", "less"), whole(serial))
	}
	return text + "."
}
