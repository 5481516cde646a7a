package report

import (
	"fmt"
	"math"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

func wrkSection(v view) (string, []document.Block) {
	if !v.has(record.KeepAlive) && !v.has(record.Close) {
		return "", nil
	}
	blocks := []document.Block{
		document.Heading{Text: "Beyond siege: wrk"},
		document.Paragraph{Text: fmt.Sprintf("wrk needs far less CPU time per request than siege and can therefore send more requests. %s of each cell; tables show medians, and the bars in the charts reach from lowest to highest. "+
			"The serial model closes every connection after its response, even if the client would keep it open.", rounds(v.rounds(record.KeepAlive)))},
	}
	kinds := []struct {
		e     record.Experiment
		title string
	}{{record.KeepAlive, "keep-alive"}, {record.Close, "one request per connection"}}
	panels := func(m record.Metric, scale float64, y string, log bool) []chart.Panel {
		var all []chart.Panel
		for _, k := range kinds {
			if v.has(k.e) {
				all = append(all, chart.Panel{
					Title: k.title, Lines: v.lines(k.e, m, scale),
					Axes: chart.Axes{X: "connections", Y: y, Levels: v.LevelsOf(k.e), LogY: log, Zero: !log},
				})
			}
		}
		return all
	}
	legend := v.legend(record.KeepAlive)
	if len(legend) == 0 {
		legend = v.legend(record.Close)
	}
	blocks = append(blocks,
		document.Picture{Alt: "Requests per second over the number of connections", Figure: chart.Panels(chart.Figure{
			Name: "wrk-rate", Title: "Requests per second", Note: "more is better; each panel has its own scale", Legend: legend,
		}, panels(record.PerSecond, 1, "requests per second", false)...)},
		document.Picture{Alt: "CPU time per request over the number of connections", Figure: chart.Panels(chart.Figure{
			Name: "wrk-cpu", Title: "The server's CPU time per request", Note: "µs, less is better", Legend: legend,
		}, panels(record.CPUPerRequest, 1e6, "µs per request", false)...)},
		document.Picture{Alt: "99th percentile of the latency, by the number of connections", Figure: chart.Panels(chart.Figure{
			Name: "wrk-p99", Title: "99th percentile of the latency", Note: "ms on a logarithmic scale, less is better; the client sends the next request at once", Legend: legend,
		}, panels(record.P99, 1e3, "ms", true)...)},
	)
	for _, k := range kinds {
		if v.has(k.e) {
			blocks = append(blocks, wrkTable(v, k.e, k.title))
		}
	}
	return wrkFinding(v), blocks
}

func rounds(n int) string {
	if n == 1 {
		return "There is one round"
	}
	return fmt.Sprintf("There are %d interleaved rounds", n)
}

func wrkTable(v view, e record.Experiment, title string) document.Table {
	t := document.Table{Caption: "wrk, " + title, Head: []string{
		"Model, connections", "Requests/s", "CPU µs", "p50, ms", "p99, ms", "p99.9, ms", "Failed", "PSS, MB", "Busiest worker",
	}}
	for _, server := range v.servers(e) {
		for _, l := range v.LevelsOf(e) {
			cell := func(m record.Metric, write func(float64) string) string { return v.cell(e, server, l, m, write) }
			uneven := record.UnevenCPU
			if e == record.KeepAlive {
				uneven = record.Uneven
			}
			share := "one worker"
			if u := v.mid(e, server, l, uneven); !math.IsNaN(u) {
				share = digits(u) + " × mean"
			}
			t.Rows = append(t.Rows, []string{
				fmt.Sprintf("%s, %s", server, whole(float64(l))), cell(record.PerSecond, whole), cell(record.CPUPerRequest, micro),
				cell(record.P50, milli), cell(record.P99, milli), cell(record.P999, milli), cell(record.Failed, whole),
				cell(record.PSS, megabytes), share,
			})
		}
	}
	return t
}

func wrkFinding(v view) string {
	const e = record.KeepAlive
	level := nearest(v.LevelsOf(e), 64)
	get := func(server string, m record.Metric) float64 { return v.mid(e, server, level, m) }
	pool, goroutine := get("process", record.CPUPerRequest), get("goroutine", record.CPUPerRequest)
	if math.IsNaN(pool) || math.IsNaN(goroutine) {
		return ""
	}
	text := fmt.Sprintf("With %s and keep-alive the pool serves %s requests per second at %s µs of CPU time each, the goroutine model %s at %s µs; "+
		"the 99th percentiles of the latency are %s and %s.", plural(level, "connection"),
		whole(get("process", record.PerSecond)), micro(pool), whole(get("goroutine", record.PerSecond)), micro(goroutine),
		span(get("process", record.P99)), span(get("goroutine", record.P99)))
	if u := get("process", record.Uneven); !math.IsNaN(u) {
		text += fmt.Sprintf(" The kernel's hash gave the busiest worker %s times its even share of the connections.", digits(u))
	}
	return text
}

// nearest returns the level that is closest to the one wanted.
func nearest(levels []int, want int) int {
	best := 0
	for _, l := range levels {
		if best == 0 || math.Abs(float64(l-want)) < math.Abs(float64(best-want)) {
			best = l
		}
	}
	return best
}

func rateSection(v view) (string, []document.Block) {
	const e = record.Rate
	if !v.has(e) {
		return "", nil
	}
	panel := func(title string, m record.Metric) chart.Panel {
		return chart.Panel{Title: title, Lines: v.lines(e, m, 1e3), Axes: chart.Axes{X: "requests per second", Y: "ms", Levels: v.LevelsOf(e), LogY: true}}
	}
	blocks := []document.Block{
		document.Heading{Text: "At a constant rate"},
		document.Paragraph{Text: "wrk and siege wait for a response before they send the next request: a stalled server receives fewer requests, which hides the latency that the stall would have caused (coordinated omission). " +
			"vegeta sends on a schedule, at rates below what the servers can sustain."},
		document.Picture{Alt: "Latency at constant rates", Figure: chart.Panels(chart.Figure{
			Name: "rate", Title: "Latency at a constant rate", Note: "ms on a logarithmic scale, less is better", Legend: v.legend(e),
		}, panel("median", record.P50), panel("99.9th percentile", record.P999))},
	}
	t := document.Table{Caption: "vegeta", Head: []string{"Model, requests/s", "Responses/s", "p50, ms", "p99, ms", "p99.9, ms", "Longest, ms", "CPU µs", "Failed"}}
	for _, server := range v.servers(e) {
		for _, l := range v.LevelsOf(e) {
			cell := func(m record.Metric, write func(float64) string) string { return v.cell(e, server, l, m, write) }
			t.Rows = append(t.Rows, []string{
				fmt.Sprintf("%s, %s", server, whole(float64(l))), cell(record.PerSecond, whole), cell(record.P50, milli), cell(record.P99, milli),
				cell(record.P999, milli), cell(record.Longest, milli), cell(record.CPUPerRequest, micro), cell(record.Failed, whole),
			})
		}
	}
	return rateFinding(v), append(blocks, t)
}

func rateFinding(v view) string {
	const e = record.Rate
	level := nearest(v.LevelsOf(e), 4000)
	pool, goroutine := v.mid(e, "process", level, record.P999), v.mid(e, "goroutine", level, record.P999)
	if math.IsNaN(pool) || math.IsNaN(goroutine) {
		return ""
	}
	return fmt.Sprintf("At a constant %s requests per second the 99.9th percentile of the latency is %s with the pool and %s with goroutines.",
		whole(float64(level)), span(pool), span(goroutine))
}
