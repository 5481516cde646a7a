package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"phalanx/tools/internal/markdown"
	"phalanx/tools/internal/pdf"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/report"
)

// load reads the newest run of each kind. A kind without a run is nil; it is an
// error if there is no run at all.
func load(results string) (runs report.Runs, err error) {
	found := false
	for kind, to := range map[record.Kind]**record.Run{record.Models: &runs.Models, record.Peers: &runs.Peers, record.Faults: &runs.Faults, record.Costs: &runs.Costs} {
		run, ok, err := record.Newest(filepath.Join(results, "raw"), kind)
		if err != nil {
			return runs, err
		}
		if ok {
			*to, found = &run, true
		}
	}
	if !found {
		return runs, fmt.Errorf("there are no runs below %s: make results", filepath.Join(results, "raw"))
	}
	return runs, nil
}

// write renders the newest runs into the results directory.
func write(results string, stderr *os.File) error {
	runs, err := load(results)
	if err != nil {
		return err
	}
	document := report.Build(runs)
	charts := filepath.Join(results, "charts")
	if err := os.MkdirAll(charts, 0o755); err != nil {
		return err
	}
	for _, f := range document.Figures() {
		svg, err := f.SVG()
		if err != nil {
			return err
		}
		png, err := f.PNG()
		if err != nil {
			return err
		}
		for ending, data := range map[string][]byte{".svg": svg, ".png": png} {
			if err := replace(filepath.Join(charts, f.Name+ending), data); err != nil {
				return err
			}
		}
	}
	printed, err := pdf.Write(document, runs.Date())
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(results, "report.pdf"), printed); err != nil {
		return err
	}
	if err := replace(filepath.Join(results, "README.md"), markdown.Write(document)); err != nil {
		return err
	}
	if err := front(results, runs.Peers); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %s and report.pdf beside it\n", filepath.Join(results, "README.md"))
	return nil
}

// front updates the chart and the sentence about the comparison in the
// project's README.md, if results is the project's directory of that name.
func front(results string, peers *record.Run) error {
	if filepath.Clean(results) != "results" || peers == nil {
		return nil
	}
	page, err := os.ReadFile("README.md")
	if err != nil {
		return err
	}
	return replace("README.md", report.WriteFront(page, "results/charts", *peers))
}

// replace writes a file unless it already has that content.
func replace(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return os.WriteFile(path, data, 0o644)
}
