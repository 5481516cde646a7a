package report

import (
	"fmt"
	"math"
	"slices"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

// sized is one of the experiments with files of several sizes.
type sized struct {
	experiment record.Experiment
	name       string
	role       chart.Role
}

func allSized() []sized {
	return []sized{
		{record.SizeKept, "HTTP, keep-alive", chart.First}, {record.SizeClose, "HTTP, new connections", chart.Second},
		{record.TLSSizeKept, "HTTPS, keep-alive", chart.Third}, {record.TLSSizeClose, "HTTPS, new connections", chart.Fourth},
	}
}

// sizesSection returns the section that compares servers by the size of the file.
func sizesSection(v view) (string, []document.Block) {
	measured := slices.DeleteFunc(allSized(), func(s sized) bool { return !v.has(s.experiment) })
	if len(measured) == 0 {
		return "", nil
	}
	most := 0
	for _, s := range measured {
		most = max(most, v.rounds(s.experiment))
	}
	blocks := []document.Block{
		document.Heading{Text: "By file size"},
		document.Paragraph{Text: fmt.Sprintf("64 connections request one file repeatedly; new HTTPS connections have a full handshake each. %s. "+
			"On loopback, system calls of the sender do part of the receiver's work and the other way round, so the tables also have the CPU time of the whole machine per request: "+
			"server, client and interrupts, from /proc/stat. Files of 1 MiB and more are counted by their bytes.", rounds(most))},
	}
	for _, kind := range []struct {
		name, title string
		secure      bool
	}{{"sizes-http", "CPU time per file over HTTP, by size", false}, {"sizes-https", "CPU time per file over HTTPS, by size", true}} {
		blocks = append(blocks, sizesPicture(v, kind.name, kind.title, slices.DeleteFunc(slices.Clone(measured), func(s sized) bool {
			return s.experiment.Secure() != kind.secure
		}))...)
	}
	blocks = append(blocks, partsPicture(v, measured)...)
	var wanted []goal
	for _, s := range measured {
		blocks = append(blocks, sizesTable(v, s))
		wanted = append(wanted, sizeGoals(v, s)...)
	}
	return sizesFinding(v, measured), append(blocks, goalsTable(wanted)...)
}

// kibibytes formats a size in KiB.
func kibibytes(kib int) string {
	if kib >= 1024 {
		return fmt.Sprintf("%d MiB", kib/1024)
	}
	return fmt.Sprintf("%d KiB", kib)
}

// mark returns a function that labels an axis of sizes. Of many levels it leaves some
// without a label.
func mark(levels []int) func(kib int) string {
	return func(kib int) string {
		switch {
		case len(levels) > 6 && (kib == 32 || kib == 128):
			return ""
		case kib >= 1024:
			return fmt.Sprintf("%dM", kib/1024)
		}
		return fmt.Sprintf("%dK", kib)
	}
}

// sizeRole returns the appearance of each of the three servers.
func sizeRole(server string) chart.Role {
	switch server {
	case "process":
		return chart.First
	case "nginx":
		return chart.Second
	}
	return chart.Third
}

func sizesPicture(v view, name, title string, kinds []sized) []document.Block {
	if len(kinds) == 0 {
		return nil
	}
	f := chart.Figure{Name: name, Title: title, Note: "µs of the server, both scales logarithmic, less is better; bars from lowest to highest"}
	for _, server := range v.servers(kinds[0].experiment) {
		f.Legend = append(f.Legend, chart.Key{Name: label(server), Role: sizeRole(server)})
	}
	var panels []chart.Panel
	for _, s := range kinds {
		lines := v.lines(s.experiment, record.CPUPerRequest, 1e6)
		for i, server := range v.servers(s.experiment) {
			lines[i].Role = sizeRole(server)
		}
		panels = append(panels, chart.Panel{Title: s.name, Lines: lines, Axes: chart.Axes{
			X: "file size", Y: "µs per request", Levels: v.LevelsOf(s.experiment), Mark: mark(v.LevelsOf(s.experiment)), LogY: true,
		}})
	}
	return []document.Block{document.Picture{Alt: title, Figure: chart.Panels(f, panels...)}}
}

// part returns Phalanx's value as a fraction of the best peer's, or NaN if one is missing.
// more says that the greatest value is the best.
func (v view) part(e record.Experiment, level int, m record.Metric, more bool) float64 {
	best := math.NaN()
	for _, server := range v.servers(e) {
		x := v.mid(e, server, level, m)
		if server != "process" && !math.IsNaN(x) && (math.IsNaN(best) || (x > best) == more) {
			best = x
		}
	}
	return v.mid(e, "process", level, m) / best
}

func partsPicture(v view, measured []sized) []document.Block {
	const title = "Phalanx's CPU time relative to the best peer's, by size"
	f := chart.Figure{Name: "sizes-parts", Title: title, Note: "less is better; 1 is the cheapest peer at that size"}
	levels := v.LevelsOf(measured[0].experiment)
	panels := []chart.Panel{{Title: "the server"}, {Title: "the whole machine"}}
	for i, m := range []record.Metric{record.CPUPerRequest, record.WholePerRequest} {
		panels[i].Axes = chart.Axes{X: "file size", Y: "× the best peer", Levels: levels, Mark: mark(levels), Zero: true}
		drawn := false
		for _, s := range measured {
			line := chart.Line{Role: s.role}
			for _, level := range v.LevelsOf(s.experiment) {
				x := v.part(s.experiment, level, m, false)
				line.Points = append(line.Points, chart.Point{X: float64(level), Y: x, Low: x, High: x})
				drawn = drawn || !math.IsNaN(x)
			}
			panels[i].Lines = append(panels[i].Lines, line)
		}
		if !drawn {
			return nil
		}
	}
	for _, s := range measured {
		f.Legend = append(f.Legend, chart.Key{Name: s.name, Role: s.role})
	}
	return []document.Block{document.Picture{Alt: title, Figure: chart.Panels(f, panels...)}}
}

func sizesTable(v view, s sized) document.Table {
	t := document.Table{Caption: s.name + ": CPU µs per request, and Phalanx relative to the best peer", Head: []string{"Size"}}
	servers := v.servers(s.experiment)
	for _, server := range servers {
		t.Head = append(t.Head, label(server))
	}
	t.Head = append(t.Head, "× CPU", "× whole machine", "× responses/s")
	for _, level := range v.LevelsOf(s.experiment) {
		row := []string{kibibytes(level)}
		for _, server := range servers {
			row = append(row, v.cell(s.experiment, server, level, record.CPUPerRequest, micro))
		}
		t.Rows = append(t.Rows, append(row, digits(v.part(s.experiment, level, record.CPUPerRequest, false)),
			digits(v.part(s.experiment, level, record.WholePerRequest, false)), digits(v.part(s.experiment, level, record.PerSecond, true))))
	}
	return t
}

// worst returns the level at which Phalanx is furthest behind, and its part there.
func worst(v view, s sized, m record.Metric, more bool) (level int, part float64) {
	part = math.NaN()
	for _, l := range v.LevelsOf(s.experiment) {
		if x := v.part(s.experiment, l, m, more); !math.IsNaN(x) && (math.IsNaN(part) || (x < part) == more) {
			level, part = l, x
		}
	}
	return level, part
}

func sizeGoals(v view, s sized) []goal {
	level, cost := worst(v, s, record.CPUPerRequest, false)
	least, rate := worst(v, s, record.PerSecond, true)
	return measured([]goal{
		{fmt.Sprintf("%s, CPU per request at each size (worst: %s)", s.name, kibibytes(level)), "≤ 1.00 × the best peer", cost, atMost(1), digits},
		{fmt.Sprintf("%s, responses per second at each size (worst: %s)", s.name, kibibytes(least)), "≥ 1.00 × the best peer", rate, atLeast(1), digits},
	})
}

// sizesFinding returns a sentence about the number of sizes at which Phalanx is the cheapest.
func sizesFinding(v view, measured []sized) string {
	cheapest, of := 0, 0
	for _, s := range measured {
		for _, level := range v.LevelsOf(s.experiment) {
			if x := v.part(s.experiment, level, record.CPUPerRequest, false); !math.IsNaN(x) {
				of++
				if x <= 1 {
					cheapest++
				}
			}
		}
	}
	if of == 0 {
		return ""
	}
	return fmt.Sprintf("For files from 1 KiB to 64 MiB the pool needs no more CPU time than the best peer in %d of %d cases.", cheapest, of)
}
