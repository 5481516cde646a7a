package report

import (
	"fmt"
	"math"
	"slices"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

func progressSection(v view) (string, []document.Block) {
	const e = record.Progress
	if !v.has(e) {
		return "", nil
	}
	blocks := []document.Block{
		document.Heading{Text: "Forward progress"},
		document.Paragraph{Text: "All clients start at the same moment and download one file of 100 GB, each as fast as it can. " +
			"Jain's fairness index is 1 if all received the same and 1/n if one of n received everything. A stall is the longest time in which a client received nothing, including the wait for its first byte."},
	}
	for _, level := range v.LevelsOf(e) {
		if level > 1 && (level == 10 || level == slices.Max(v.LevelsOf(e))) {
			blocks = append(blocks, progressPicture(v, level))
		}
	}
	t := document.Table{Caption: "Downloads of one 100 GB file", Head: []string{
		"Model, clients", "Clients with progress", "Total, GB/s", "Jain's index", "Longest stall", "CPU s per GB", "Memory (PSS), MB", "before, MB",
	}}
	for _, server := range v.servers(e) {
		for _, l := range v.LevelsOf(e) {
			cell := func(m record.Metric, write func(float64) string) string { return v.cell(e, server, l, m, write) }
			speed := v.mid(e, server, l, record.Bytes) / v.mid(e, server, l, record.Seconds) / 1e9
			t.Rows = append(t.Rows, []string{
				fmt.Sprintf("%s, %s", server, whole(float64(l))), cell(record.Moving, whole), digits(speed), cell(record.Jain, digits),
				cell(record.Stall, span), cell(record.CPUPerGB, digits), cell(record.PSS, megabytes), cell(record.PSSIdle, megabytes),
			})
		}
	}
	return progressFinding(v), append(blocks, t)
}

const shown = 40 // clients in a chart

// progressPicture returns a picture of the progress of each client, with a panel for each model.
func progressPicture(v view, level int) document.Block {
	const e = record.Progress
	var panels []chart.Panel
	servers := v.servers(e)
	slices.Reverse(servers) // the old server first
	for _, server := range servers {
		for _, r := range v.Of(e, server, level) {
			if r.Series == nil || !r.Valid() {
				continue
			}
			p := chart.Panel{Title: server, Thin: true, Axes: chart.Axes{X: "seconds", Zero: true}}
			lines := spaced(r.Series.Lines)
			scale, unit := 1e9, "GB"
			if float64(last(lines[0])*r.Series.Unit) < scale {
				scale, unit = 1e6, "MB"
			}
			p.Axes.Y = unit + " per client"
			for _, line := range lines {
				p.Lines = append(p.Lines, path(line, r.Series, scale, role(server)))
			}
			panels = append(panels, p)
			break
		}
	}
	if len(panels) == 0 {
		return document.Paragraph{Text: fmt.Sprintf("There is no valid result with %s.", plural(level, "client"))}
	}
	note := "one line per client; each panel has its own scale"
	if level > shown {
		note = fmt.Sprintf("one line for each of %d clients, evenly spaced from the fastest to the slowest; each panel has its own scale", shown)
	}
	return document.Picture{
		Alt: fmt.Sprintf("Bytes that each of %s received over time, for each model", plural(level, "client")),
		Figure: chart.Panels(chart.Figure{
			Name: fmt.Sprintf("progress-%d", level), Title: plural(level, "client") + " download 100 GB at the same time", Note: note,
		}, panels...),
	}
}

// spaced sorts lines by their last value and selects some at equal distances,
// including the first and the last.
func spaced(lines [][]int64) [][]int64 {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b []int64) int { return int(last(b) - last(a)) })
	if len(sorted) <= shown {
		return sorted
	}
	taken := make([][]int64, 0, shown)
	for i := range shown {
		taken = append(taken, sorted[i*(len(sorted)-1)/(shown-1)])
	}
	return taken
}

func last(line []int64) int64 {
	if len(line) == 0 {
		return 0
	}
	return line[len(line)-1]
}

func path(line []int64, s *record.Series, scale float64, r chart.Role) chart.Line {
	drawn := chart.Line{Role: r, Points: []chart.Point{{}}}
	for i, n := range line {
		y := float64(n*s.Unit) / scale
		drawn.Points = append(drawn.Points, chart.Point{X: float64(i+1) * s.Step, Y: y, Low: y, High: y})
	}
	return drawn
}

func progressFinding(v view) string {
	const e = record.Progress
	levels := v.LevelsOf(e)
	level := slices.Max(levels)
	get := func(server string, m record.Metric) float64 { return v.mid(e, server, level, m) }
	moved := get("process", record.Moving)
	if math.IsNaN(moved) {
		return ""
	}
	text := fmt.Sprintf("Of %s that download a 100 GB file at once, %s made progress with the pool (Jain's index %s, longest stall %s, %s MB of memory)",
		plural(level, "client"), whole(moved), digits(get("process", record.Jain)), span(get("process", record.Stall)), megabytes(get("process", record.PSS)))
	if g := get("goroutine", record.Moving); !math.IsNaN(g) {
		text += fmt.Sprintf(", %s with goroutines (%s, %s, %s MB)", whole(g), digits(get("goroutine", record.Jain)),
			span(get("goroutine", record.Stall)), megabytes(get("goroutine", record.PSS)))
	}
	if s := get("serial", record.Moving); !math.IsNaN(s) {
		text += fmt.Sprintf("; the serial server served %s in %s and the others waited", whole(s), span(get("serial", record.Seconds)))
	}
	return text + "."
}
