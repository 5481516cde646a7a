package measure

import (
	"context"
	"strings"
	"testing"
	"time"

	"phalanx/tools/internal/proctree"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
	"phalanx/tools/internal/tool"
)

func bench() *Bench {
	return &Bench{Site: target.Site{Scratch: "/scratch/x"}, Now: func() time.Time { return time.Unix(1_700_000_000, 5) }}
}

func TestUnknownServerIsVoid(t *testing.T) {
	for _, e := range []record.Experiment{record.Siege, record.Progress, record.StartStop, record.Idle, "none"} {
		r, _, err := bench().Cell(t.Context(), record.Cell{Experiment: e, Server: "nobody", Level: 1, Round: 1})
		if err != nil || r.Valid() || r.Values != nil || r.Start.Nanosecond() != 0 {
			t.Errorf("%s: %+v, %v", e, r, err)
		}
	}
}

func TestCancelledIsNoResult(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := bench().Cell(ctx, record.Cell{Experiment: record.Siege, Server: "nobody"}); err == nil {
		t.Error("no error")
	}
}

func TestAnonymous(t *testing.T) {
	if got := bench().anonymous("open /scratch/x/h2o.conf: no"); got != "open DIR/h2o.conf: no" {
		t.Errorf("got %q", got)
	}
}

func TestRunTool(t *testing.T) {
	out, _, err := run(t.Context(), time.Second, tool.Call{
		Args: []string{"sh", "-c", `cat; echo "$WORD" >&2; exit 3`}, Input: "in", Env: []string{"WORD=out"},
	})
	if err != nil || string(out.Stdout) != "in" || strings.TrimSpace(string(out.Stderr)) != "out" {
		t.Errorf("got %q, %q, %v", out.Stdout, out.Stderr, err)
	}
	if _, _, err := run(t.Context(), time.Second, tool.Call{Args: []string{"no-such-tool"}}); err == nil {
		t.Error("a missing tool is no error")
	}
}

func TestWorkersShares(t *testing.T) {
	s := &sampler{
		before:  proctree.Usage{Processes: []proctree.Process{{PID: 1}, {PID: 2, CPU: 1}, {PID: 3, CPU: 1}}},
		sockets: map[int]float64{2: 30, 3: 10}, count: 2,
	}
	after := proctree.Usage{Processes: []proctree.Process{{PID: 1, CPU: 9}, {PID: 2, CPU: 4}, {PID: 3, CPU: 2}}}
	r := record.Result{Values: make(map[record.Metric]float64)}
	s.workers(&r, after)
	if r.Values[record.UnevenCPU] != 1.5 || r.Values[record.Uneven] != 1.5 || r.Workers[0].Connections != 15 {
		t.Errorf("got %+v", r)
	}
}

// Small files are counted by responses, because the bytes include the heads, and large ones
// by bytes, because many are under way at the end.
func TestPerFile(t *testing.T) {
	for _, c := range []struct {
		kib         int
		want, whole float64
	}{{1, 0.02, 0.03}, {4096, 0.01, 0.015}} {
		r := record.Result{Cell: record.Cell{Experiment: record.SizeKept, Level: c.kib}, Values: map[record.Metric]float64{
			record.Requests: 100, record.Bytes: 200 * float64(c.kib) * 1024, record.CPU: 2, record.Whole: 3, record.Seconds: 2}}
		perFile(&r)
		if r.Values[record.CPUPerRequest] != c.want || r.Values[record.WholePerRequest] != c.whole {
			t.Errorf("%d KiB: %v", c.kib, r.Values)
		}
	}
}

func TestRound(t *testing.T) {
	for _, c := range []struct{ v, want float64 }{{0.1234567891, 0.123456789}, {4868720151.3, 4868720151}, {-2.5, -2.5}} {
		if got := round(c.v, 9); got != c.want {
			t.Errorf("round(%v) = %v", c.v, got)
		}
	}
}
