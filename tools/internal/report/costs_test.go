package report

import (
	"strings"
	"testing"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

// Each ratio is that of a round to the same round of the pool without observability.
func TestCosts(t *testing.T) {
	var run record.Run
	add := func(server string, round int, rate, cpu float64) {
		c := record.Cell{Experiment: record.KeepAlive, Server: server, Level: 64, Round: round}
		run.Head.Settings.Cells = append(run.Head.Settings.Cells, c)
		run.Results = append(run.Results, record.Result{Cell: c, Values: map[record.Metric]float64{record.PerSecond: rate, record.CPUPerRequest: cpu}})
	}
	for round, base := range []float64{0, 1000, 2000, 4000} {
		if round == 0 {
			continue
		}
		add("process", round, base, 10e-6)
		add(record.Seen, round, base*0.98, 11e-6)
		add(record.Logged, round, base*(0.8+0.05*float64(round)), 12e-6)
	}
	finding, blocks := costsSection(view{run})
	if want := "With request ids and metrics the pool serves 0.98 × as many requests per second as without, with an access log 0.90 ×."; finding != want {
		t.Errorf("%q, want %q", finding, want)
	}
	table := blocks[len(blocks)-1].(document.Table)
	got := strings.Join(table.Rows[2], "|")
	if want := "access log (combined) to a file|1,800|0.90 (0.85–0.95)|≥ 0.85|12.0|1.20 (1.20–1.20)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	run.Results = run.Results[:1]
	if finding, blocks := costsSection(view{run}); finding != "" || blocks != nil {
		t.Error("there is a section without data")
	}
}
