// Package campaign measures the cells of a run one after another, stores each
// result at once, and shows how long the rest will take. It knows neither
// servers nor tools: measuring a cell is a call of a function.
package campaign

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"phalanx/tools/internal/plan"
	"phalanx/tools/internal/record"
)

// Measure measures one cell and returns the result and the output of the tool.
type Measure func(context.Context, record.Cell) (record.Result, []byte, error)

// Loop measures the cells of a run.
type Loop struct {
	Store    *record.Store
	Measure  Measure
	Estimate func(record.Cell) time.Duration
	Out      io.Writer
	Terminal bool // whether Out can show a bar
}

const tries = 3 // of a cell whose result is void

// Run measures the cells that have no result or a void one. It measures a cell
// at most three times until the result is not void. If the context is cancelled
// Run returns its error; the results until then are kept.
func (l Loop) Run(ctx context.Context) error {
	left := l.Store.Run.Todo()
	shown := l.begin(left)
	for i, c := range left {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		shown.now(i, c)
		result, output, err := l.one(ctx, c)
		if err != nil {
			return err
		}
		if err := l.Store.Append(result, output); err != nil {
			return err
		}
		shown.done(i, result, l.Estimate(c))
	}
	return nil
}

func (l Loop) one(ctx context.Context, c record.Cell) (record.Result, []byte, error) {
	if why := plan.Ended(l.Store.Run.Results, c); why != "" {
		return record.Result{Cell: c, Start: time.Now().UTC().Truncate(time.Second), Skipped: why}, nil, nil
	}
	for try := 1; ; try++ {
		result, output, err := l.Measure(ctx, c)
		if err != nil || result.Void == "" || try == tries {
			return result, output, err
		}
	}
}

// display is a progress bar on a terminal, or else a line for each cell.
type display struct {
	out   io.Writer
	bar   *progressbar.ProgressBar
	cells int
}

func (l Loop) begin(left []record.Cell) display {
	var total time.Duration
	for _, c := range left {
		total += l.Estimate(c)
	}
	d := display{out: l.Out, cells: len(left)}
	if l.Terminal {
		d.bar = progressbar.NewOptions64(total.Milliseconds(),
			progressbar.OptionSetWriter(l.Out), progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetElapsedTime(true), progressbar.OptionFullWidth(),
			progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionOnCompletion(func() { fmt.Fprintln(l.Out) }))
		return d
	}
	fmt.Fprintf(l.Out, "%d cells, about %v\n", len(left), total.Round(time.Second))
	return d
}

func (d display) now(i int, c record.Cell) {
	if d.bar != nil {
		d.bar.Describe(fmt.Sprintf("%d/%d %s %s %d", i+1, d.cells, c.Experiment, c.Server, c.Level))
	}
}

func (d display) done(i int, r record.Result, worth time.Duration) {
	if d.bar != nil {
		if !r.Valid() {
			fmt.Fprintf(d.out, "\r%s %s %d: %s\n", r.Experiment, r.Server, r.Level, Words(r))
		}
		_ = d.bar.Add64(worth.Milliseconds()) // only drawing can fail
		return
	}
	fmt.Fprintf(d.out, "%*d/%d %s %s %d: %s\n", len(fmt.Sprint(d.cells)), i+1, d.cells, r.Experiment, r.Server, r.Level, Words(r))
}

// Words summarises a result in one line.
func Words(r record.Result) string {
	v := r.Values
	switch {
	case r.Void != "":
		return "void: " + r.Void
	case r.Skipped != "":
		return "left out: " + r.Skipped
	}
	switch r.Experiment {
	case record.Progress, record.Slow:
		return fmt.Sprintf("%.1f GB, %.0f of %d clients moved, longest stall %.3f s", v[record.Bytes]/1e9, v[record.Moving], r.Level, v[record.Stall])
	case record.StartStop:
		return fmt.Sprintf("first reply after %.1f ms, gone after %.1f ms", v[record.First]*1e3, v[record.Stop]*1e3)
	case record.Download, record.TLSDownload:
		return fmt.Sprintf("%.2f GB/s, %.3f s of CPU per GB", v[record.Bytes]/v[record.Seconds]/1e9, v[record.CPUPerGB])
	case record.KillKept, record.KillClose, record.Reload:
		return fmt.Sprintf("%.0f requests, %.0f failed, %.0f idle connections closed", v[record.Requests], v[record.Failed], v[record.Closed])
	case record.Idle, record.TLSIdle:
		return fmt.Sprintf("%.0f held, %.0f bytes each", v[record.Held], v[record.PerConnection])
	}
	return fmt.Sprintf("%.0f requests/s, %.1f µs of CPU each, %.0f failed", v[record.PerSecond], v[record.CPUPerRequest]*1e6, v[record.Failed])
}
