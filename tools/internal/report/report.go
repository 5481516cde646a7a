// Package report turns the raw data of runs into a document with tables, charts
// and sentences. Every number in a sentence is computed from the data, and a
// sentence that depends on which number is greater is chosen by the numbers. A
// section whose experiment was not run is left out.
package report

import (
	"fmt"
	"time"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

// Runs holds the runs of a report, the newest of each kind; each may be nil.
type Runs struct {
	Models, Peers, Faults, Costs *record.Run
}

func (r Runs) all() []*record.Run { return []*record.Run{r.Models, r.Peers, r.Faults, r.Costs} }

// Build returns the report.
func Build(runs Runs) document.Document {
	d := document.Document{Title: "Phalanx: measurements"}
	var findings []string
	var sections []document.Block
	add := func(finding string, blocks []document.Block) {
		if finding != "" {
			findings = append(findings, finding)
		}
		sections = append(sections, blocks...)
	}
	commits := make(map[string]bool)
	for _, r := range runs.all() {
		if r == nil {
			continue
		}
		if commits[r.Head.Commit] = true; d.Under == "" {
			d.Under = under(view{*r})
		}
	}
	if len(commits) > 1 {
		d.Under += " Some runs are of other commits, which the last table names."
	}
	if runs.Models != nil {
		v := view{*runs.Models}
		add(siegeSection(v))
		add(wrkSection(v))
		add(rateSection(v))
		add(progressSection(v))
		add(startSection(v))
	}
	if runs.Peers != nil {
		add(peersSection(view{*runs.Peers}))
		add(secureSection(view{*runs.Peers}))
		add(sizesSection(view{*runs.Peers}))
	}
	if runs.Faults != nil {
		add(faultsSection(view{*runs.Faults}))
	}
	if runs.Costs != nil {
		add(costsSection(view{*runs.Costs}))
	}
	if len(findings) > 0 {
		d.Add(document.Heading{Text: "Summary"}, document.List{Items: findings})
	}
	d.Add(sections...)
	d.Add(methodSection(runs)...)
	return d
}

// Date returns the date of the newest run.
func (r Runs) Date() time.Time {
	var date time.Time
	for _, r := range r.all() {
		if r != nil && r.Head.Date.After(date) {
			date = r.Head.Date
		}
	}
	return date
}

func under(v view) string {
	h := v.Head
	text := fmt.Sprintf("Measured on %s at commit %.12s on %s of %s with %s. Written by make results, make compare, make faults and make costs; no number is entered by hand.",
		h.Date.Format("2 January 2006"), h.Commit, plural(h.Machine.Cores, "core"), h.Machine.CPU, h.Machine.Kernel)
	if !h.Clean {
		text += " The tree had uncommitted changes."
	}
	if h.Settings.Seconds < 60 {
		text += fmt.Sprintf(" This is a quick look with runs of %d s; its numbers are rough.", h.Settings.Seconds)
	}
	if left := len(v.Left()); left > 0 {
		text += fmt.Sprintf(" The run is incomplete: %d of %d cells have not been measured yet.", left, len(h.Settings.Cells))
	}
	return text
}
