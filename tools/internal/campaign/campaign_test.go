package campaign

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"phalanx/tools/internal/record"
)

func cells() []record.Cell {
	return []record.Cell{
		{Experiment: record.Siege, Server: "process", Level: 1, Round: 1},
		{Experiment: record.Siege, Server: "process", Level: 8, Round: 1},
		{Experiment: record.Siege, Server: "process", Level: 64, Round: 1},
	}
}

func open(t *testing.T, raw string) *record.Store {
	t.Helper()
	head := record.Head{Date: time.Now(), Settings: record.Settings{Kind: record.Models, Cells: cells()}}
	s, _, err := record.Open(raw, head)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestInterruptKeepsWhatIsMeasured(t *testing.T) {
	raw := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	loop := Loop{Store: open(t, raw), Out: &out, Estimate: func(record.Cell) time.Duration { return time.Second }}
	loop.Measure = func(_ context.Context, c record.Cell) (record.Result, []byte, error) {
		if c.Level == 8 {
			cancel()
			return record.Result{}, nil, context.Canceled
		}
		return record.Result{Cell: c, Values: map[record.Metric]float64{record.PerSecond: 7}}, []byte("said"), nil
	}
	if err := loop.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := open(t, raw).Run.Left(); len(left) != 2 || left[0].Level != 8 {
		t.Errorf("left: %v", left)
	}
	if !strings.Contains(out.String(), "3 cells, about 3s\n") || !strings.Contains(out.String(), "1/3 siege process 1: 7 requests/s") {
		t.Errorf("unexpected output %q", out.String())
	}
}

func TestVoidAndSkipped(t *testing.T) {
	tries := 0
	loop := Loop{Store: open(t, t.TempDir()), Out: &bytes.Buffer{}, Terminal: true, Estimate: func(record.Cell) time.Duration { return 1 }}
	loop.Measure = func(_ context.Context, c record.Cell) (record.Result, []byte, error) {
		tries++
		if c.Level == 1 {
			return record.Result{Cell: c, Void: "no ports"}, nil, nil
		}
		return record.Result{Cell: c, Values: map[record.Metric]float64{record.ErrorShare: 0.5}}, nil, nil
	}
	if err := loop.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	results := loop.Store.Run.Results
	if tries != 4 || results[0].Void == "" || !results[1].Valid() || results[2].Skipped == "" {
		t.Errorf("%d tries, results %+v", tries, results)
	}
}
