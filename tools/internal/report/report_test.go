package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/markdown"
	"phalanx/tools/internal/pdf"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/report"
)

// build renders the runs recorded below a directory; ok is false if there are
// none.
func build(t *testing.T, dir string) (d document.Document, ok bool) {
	t.Helper()
	var runs report.Runs
	for kind, to := range map[record.Kind]**record.Run{record.Models: &runs.Models, record.Peers: &runs.Peers, record.Faults: &runs.Faults, record.Costs: &runs.Costs} {
		run, found, err := record.Newest(filepath.Join(dir, "raw"), kind)
		if err != nil {
			t.Fatal(err)
		}
		if found {
			*to = &run
			ok = true
		}
	}
	return report.Build(runs), ok
}

// TestReportIsThatOfTheData renders the recorded runs again and compares the
// result with the committed report, byte for byte. When the report changes on
// purpose, run make report, then
// bin/bench report --results tools/internal/report/testdata.
func TestReportIsThatOfTheData(t *testing.T) {
	for _, dir := range []string{"testdata", "../../../results"} {
		d, ok := build(t, dir)
		if !ok {
			t.Fatalf("there are no runs in %s", dir)
		}
		same(t, filepath.Join(dir, "README.md"), markdown.Write(d))
		for _, f := range d.Figures() {
			svg, err := f.SVG()
			if err != nil {
				t.Fatal(err)
			}
			same(t, filepath.Join(dir, "charts", f.Name+".svg"), svg)
		}
	}
}

func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v: make report", err)
		return
	}
	if bytes.Equal(got, want) {
		return
	}
	was, is := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(was), len(is)) {
		if was[i] != is[i] {
			t.Errorf("%s, line %d is\n%s\nwant\n%s", path, i+1, was[i], is[i])
			return
		}
	}
	t.Errorf("%s has %d lines, want %d", path, len(was), len(is))
}

// TestNothingOfTheMachine looks for what must not be published: paths,
// addresses, and values that are not numbers.
func TestNothingOfTheMachine(t *testing.T) {
	bad := regexp.MustCompile(`/(home|root|tmp|work|var|Users)/|NaN|[+-]Inf|%!`)
	d, _ := build(t, "testdata")
	if found := bad.FindString(string(markdown.Write(d))); found != "" {
		t.Errorf("the report has %q", found)
	}
}

func TestPDF(t *testing.T) {
	d, _ := build(t, "testdata")
	run, _, err := record.Newest("testdata/raw", record.Models)
	if err != nil {
		t.Fatal(err)
	}
	data, err := pdf.Write(d, report.Runs{Models: &run}.Date())
	if err != nil || !bytes.HasPrefix(data, []byte("%PDF-")) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// TestPartial renders runs that have just begun, have void cells or ended
// columns: the report says so and has no empty number.
func TestPartial(t *testing.T) {
	cells := []record.Cell{
		{Experiment: record.Siege, Server: "process", Level: 1, Round: 1},
		{Experiment: record.Siege, Server: "serial", Level: 1, Round: 1},
		{Experiment: record.Siege, Server: "process", Level: 512, Round: 1},
		{Experiment: record.Siege, Server: "serial", Level: 512, Round: 1},
	}
	values := map[record.Metric]float64{
		record.PerSecond: 1000, record.Requests: 1000, record.Mean: 0.001, record.Seconds: 1, record.CPU: 0.5,
		record.CPUPerRequest: 0.0005, record.ErrorShare: 0.2, record.Failed: 250,
	}
	run := record.Run{
		Head: record.Head{Settings: record.Settings{Kind: record.Models, Seconds: 60, Cells: cells}, Clean: true},
		Results: []record.Result{
			{Cell: cells[0], Values: values}, {Cell: cells[1], Void: "siege: Too many open files"},
			{Cell: cells[2], Skipped: "too many errors at a lower level"},
		},
	}
	text := string(markdown.Write(report.Build(report.Runs{Models: &run})))
	for _, want := range []string{
		"1 of 4 cells have not been measured yet", "is void: siege: Too many open files", "The column of process ends here",
		"20.0 % of the requests failed", "| 1,000 | ended |", "| void | – |",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(text, "NaN") {
		t.Error("the report has a NaN")
	}
}

// TestSecure renders a comparison over TLS alone.
func TestSecure(t *testing.T) {
	run := record.Run{Head: record.Head{Settings: record.Settings{Kind: record.Peers, Experiments: []record.Experiment{record.TLSFull}}}}
	for server, cost := range map[string]float64{"process": 0.0002, "nginx": 0.00025} {
		c := record.Cell{Experiment: record.TLSFull, Server: server, Level: 64, Round: 1}
		run.Head.Settings.Cells = append(run.Head.Settings.Cells, c)
		run.Results = append(run.Results, record.Result{Cell: c, Values: map[record.Metric]float64{record.CPUPerRequest: cost}})
	}
	text := strings.Join(strings.Fields(string(markdown.Write(report.Build(report.Runs{Peers: &run})))), " ")
	for _, want := range []string{
		"the pool's cost relative to nginx's: full handshakes 0.80.", "| full handshake, CPU per request | ≤ 0.90 × nginx | 0.80 | yes |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for _, not := range []string{"NaN", "Compared with other servers", "keep-alive, CPU"} {
		if strings.Contains(text, not) {
			t.Errorf("the report says %q", not)
		}
	}
}

// TestFloor compares the servers with the floor, which is not ranked among them.
func TestFloor(t *testing.T) {
	run := record.Run{Head: record.Head{Settings: record.Settings{Kind: record.Peers, Experiments: []record.Experiment{record.KeepAlive}}}}
	for server, cost := range map[string]float64{record.FloorC: 10e-6, record.FloorGo: 11e-6, "process": 12e-6, "nginx": 20e-6} {
		for _, level := range []int{64, 512} {
			c := record.Cell{Experiment: record.KeepAlive, Server: server, Level: level, Round: 1}
			run.Head.Settings.Cells = append(run.Head.Settings.Cells, c)
			run.Results = append(run.Results, record.Result{Cell: c, Values: map[record.Metric]float64{record.CPUPerRequest: cost * float64(level/64), record.PerSecond: 1 / cost}})
		}
	}
	text := strings.Join(strings.Fields(string(markdown.Write(report.Build(report.Runs{Peers: &run})))), " ")
	for _, want := range []string{
		"| floor in Go | 11.0 | 1.10 | – | – |", "| Phalanx | 12.0 | 1.20 | – | – |", "| nginx | 160 | 2.00 | – | – |",
		"| keep-alive, CPU per request | ≤ 1.20 × floor in C | 1.20 | yes |", "≥ 1.00 × the best peer | 1.67 | yes |", "(rank 1 of 2)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}

// TestSizes compares Phalanx with the best peer at each size, which is not always the same.
func TestSizes(t *testing.T) {
	run := record.Run{Head: record.Head{Settings: record.Settings{Kind: record.Peers, Experiments: []record.Experiment{record.SizeKept}}}}
	for server, costs := range map[string]map[int]float64{"process": {1: 8e-6, 256: 90e-6}, "nginx": {1: 16e-6, 256: 60e-6}, "h2o": {1: 10e-6, 256: 100e-6}} {
		for level, cost := range costs {
			c := record.Cell{Experiment: record.SizeKept, Server: server, Level: level, Round: 1}
			run.Head.Settings.Cells = append(run.Head.Settings.Cells, c)
			run.Results = append(run.Results, record.Result{Cell: c, Values: map[record.Metric]float64{
				record.CPUPerRequest: cost, record.WholePerRequest: 2 * cost, record.PerSecond: 1 / cost}})
		}
	}
	d := report.Build(report.Runs{Peers: &run})
	text := strings.Join(strings.Fields(string(markdown.Write(d))), " ")
	for _, want := range []string{
		"| 1 KiB | 8.00 | 10.0 | 16.0 | 0.80 | 0.80 | 1.25 |", "| 256 KiB | 90.0 | 100 | 60.0 | 1.50 | 1.50 | 0.67 |",
		"(worst: 256 KiB) | ≤ 1.00 × the best peer | 1.50 | no |", "best peer in 1 of 2 cases",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for _, f := range d.Figures() {
		if _, err := f.SVG(); err != nil {
			t.Error(err)
		}
	}
}

// TestNothingMeasured renders a run without a single result.
func TestNothingMeasured(t *testing.T) {
	run := record.Run{Head: record.Head{Settings: record.Settings{Kind: record.Peers, Cells: []record.Cell{{Experiment: record.Idle, Server: "process", Level: 8000, Round: 1}}}}}
	if text := string(markdown.Write(report.Build(report.Runs{Peers: &run}))); strings.Contains(text, "NaN") {
		t.Errorf("the report has a NaN:\n%s", text)
	}
}
