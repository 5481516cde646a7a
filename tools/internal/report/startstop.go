package report

import (
	"fmt"
	"math"
	"slices"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

func startSection(v view) (string, []document.Block) {
	const e = record.StartStop
	if !v.has(e) {
		return "", nil
	}
	axes := chart.Axes{X: "worker processes", Y: "ms", Levels: v.LevelsOf(e), Zero: true}
	first := v.lines(e, record.First, 1e3)
	stop := v.lines(e, record.Stop, 1e3)
	blocks := []document.Block{
		document.Heading{Text: "Start and stop"},
		document.Paragraph{Text: fmt.Sprintf("From the launch of the master to the end of its first response, and from Ctrl-C, with no request in progress, to the exit of the last process. %s.", rounds(v.rounds(e)))},
		document.Picture{Alt: "Time to start and to stop over the number of workers", Figure: chart.Panels(chart.Figure{
			Name: "startstop", Title: "Start and stop", Note: "ms, less is better", Legend: v.legend(e),
		}, chart.Panel{Title: "launch to first response", Axes: axes, Lines: first}, chart.Panel{Title: "Ctrl-C to last exit", Axes: axes, Lines: stop})},
	}
	t := document.Table{Caption: "Start and stop, medians (lowest to highest)", Head: []string{"Model, workers", "First response, ms", "Stop, ms", "PSS, MB"}}
	for _, server := range v.servers(e) {
		for _, l := range v.LevelsOf(e) {
			if len(v.values(e, server, l, record.First)) == 0 {
				continue
			}
			around := func(m record.Metric) string {
				s := v.spread(e, server, l, m)
				return fmt.Sprintf("%s (%s to %s)", milli(s.Mid), milli(s.Low), milli(s.High))
			}
			t.Rows = append(t.Rows, []string{
				fmt.Sprintf("%s, %s", server, whole(float64(l))), around(record.First), around(record.Stop), v.cell(e, server, l, record.PSS, megabytes),
			})
		}
	}
	return startFinding(v), append(blocks, t)
}

func startFinding(v view) string {
	const e = record.StartStop
	levels := v.LevelsOf(e)
	low, high := slices.Min(levels), slices.Max(levels)
	get := func(l int, m record.Metric) float64 { return v.mid(e, "process", l, m) }
	if math.IsNaN(get(high, record.First)) {
		return ""
	}
	text := fmt.Sprintf("A pool of %s sends its first response %s after the launch and has exited %s after Ctrl-C", plural(high, "worker"),
		span(get(high, record.First)), span(get(high, record.Stop)))
	if low < high && !math.IsNaN(get(low, record.First)) {
		text += fmt.Sprintf("; with %s it takes %s and %s", plural(low, "worker"), span(get(low, record.First)), span(get(low, record.Stop)))
	}
	return text + "."
}
