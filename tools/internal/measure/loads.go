package measure

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"phalanx/tools/internal/load"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/stats"
	"phalanx/tools/internal/target"
	"phalanx/tools/internal/tool"
)

const page = "/index.html"

// requests measures the experiments in which a tool requests one page
// repeatedly. It returns the output of the tool.
func (b *Bench) requests(ctx context.Context, r *record.Result) (output []byte, err error) {
	err = b.serve(r, b.Site, func(server *target.Server) error {
		url := server.URL(page)
		if err := b.warm(ctx, r.Cell, url); err != nil {
			return err
		}
		stop := scrape(server.Admin(), time.Second)
		defer stop()
		return b.sampled(r, server, func() (float64, error) {
			last := b.Times.Load
			if r.Experiment == record.Siege {
				last = b.Times.Siege
			}
			out, cpu, err := b.tool(ctx, r.Cell, url, last)
			if err != nil {
				return 0, err
			}
			output = append(slices.Clone(out.Stdout), out.Stderr...)
			values, err := b.parse(ctx, r.Cell, out, last)
			maps.Copy(r.Values, values)
			return cpu, err
		})
	})
	if n := r.Values[record.Requests]; err == nil && n > 0 {
		r.Values[record.CPUPerRequest] = r.Values[record.CPU] / n
	}
	return output, err
}

// warm loads the server as the experiment will, without counting. It uses wrk
// in place of siege, which does not always exit.
func (b *Bench) warm(ctx context.Context, c record.Cell, url string) error {
	if c.Experiment == record.Siege {
		c.Experiment = record.Close
	}
	_, _, err := b.tool(ctx, c, url, b.Times.Warm)
	return err
}

func (b *Bench) tool(ctx context.Context, c record.Cell, url string, last time.Duration) (tool.Output, float64, error) {
	switch c.Experiment {
	case record.Siege:
		return run(ctx, last, tool.SiegeCall(b.Rules, b.Site.Scratch, url, c.Level, last))
	case record.Rate:
		return run(ctx, last, tool.VegetaAttack(b.Vegeta, b.findings(), url, c.Level, last))
	case record.TLSKept:
		return run(ctx, last, tool.WrkCall(b.Script, url, c.Level, last, false).Over(b.OpenSSL))
	case record.H2One, record.H2Ten, record.H2Hundred:
		return run(ctx, last, tool.H2loadCall(url, c.Level, c.Experiment.Streams(), last).Over(b.OpenSSL))
	default:
		return run(ctx, last, tool.WrkCall(b.Script, url, c.Level, last, c.Experiment == record.Close))
	}
}

func (b *Bench) findings() string { return filepath.Join(b.Site.Scratch, "vegeta.bin") }

func (b *Bench) parse(ctx context.Context, c record.Cell, out tool.Output, last time.Duration) (tool.Values, error) {
	switch c.Experiment {
	case record.Siege:
		return tool.ParseSiege(out, last)
	case record.Rate:
		report, _, err := run(ctx, 0, tool.VegetaReport(b.Vegeta, b.findings(), "json"))
		if err != nil {
			return nil, err
		}
		plot, _, err := run(ctx, 0, tool.VegetaReport(b.Vegeta, b.findings(), "hdrplot"))
		if err != nil {
			return nil, err
		}
		return tool.ParseVegeta(report, plot, last)
	case record.H2One, record.H2Ten, record.H2Hundred:
		return tool.ParseH2load(out, last)
	default:
		return tool.ParseWrk(out, last)
	}
}

const samples = 60 // in the chart of a download

// progress measures many clients that download the huge file as fast as they can.
func (b *Bench) progress(ctx context.Context, r *record.Result) error {
	crowd := load.Crowd{Path: "/" + HugeFile, Clients: r.Level, Last: b.Times.Crowd, Sample: b.Times.Crowd / samples}
	outcome, err := b.crowd(ctx, r, b.Huge, crowd)
	if err != nil {
		return err
	}
	const unit = 100_000
	r.Series = &record.Series{Step: round(crowd.Sample.Seconds(), 3), Unit: unit}
	for _, line := range outcome.Samples {
		for i := range line {
			line[i] = (line[i] + unit/2) / unit
		}
		r.Series.Lines = append(r.Series.Lines, line)
	}
	return nil
}

// slow measures many clients that download slowly: 16 KiB ten times a second.
func (b *Bench) slow(ctx context.Context, r *record.Result) error {
	_, err := b.crowd(ctx, r, b.Huge, load.Crowd{
		Path: "/" + HugeFile, Clients: r.Level, Last: b.Times.Crowd, Sample: b.Times.Crowd,
		Portion: 16 << 10, Period: 100 * time.Millisecond,
	})
	return err
}

func (b *Bench) crowd(ctx context.Context, r *record.Result, site target.Site, crowd load.Crowd) (outcome load.Outcome, err error) {
	server, err := b.start(r, site)
	if err != nil {
		return outcome, err
	}
	defer server.Kill() // a graceful stop would wait for the downloads
	crowd.Address = server.Address()
	err = b.sampled(r, server, func() (float64, error) {
		outcome, err = crowd.Run(ctx)
		return 0, err
	})
	if err != nil {
		return outcome, err
	}
	var received []float64
	var total float64
	var stall time.Duration
	for i, n := range outcome.Received {
		received = append(received, float64(n))
		total += float64(n)
		stall = max(stall, outcome.Stall[i])
		if n > 0 {
			r.Values[record.Moving]++
		}
		if outcome.Errors[i] != nil {
			r.Values[record.Failed]++
		}
	}
	r.Values[record.Bytes], r.Values[record.Seconds] = total, crowd.Last.Seconds()
	r.Values[record.Stall] = round(stall.Seconds(), 6)
	set(r.Values, record.Jain, stats.Jain(received))
	if total > 0 {
		r.Values[record.CPUPerGB] = r.Values[record.CPU] / (total / 1e9)
	}
	return outcome, nil
}

// startStop starts and stops a pool of as many workers as the level says.
func (b *Bench) startStop(r *record.Result) error {
	var pool []string
	if r.Server == "process" {
		pool = []string{"--workers", fmt.Sprint(r.Level)}
	}
	server, err := b.start(r, b.Site, pool...)
	if err != nil {
		return err
	}
	usage, err := b.Proc.Tree(server.PID())
	if err != nil {
		server.Kill()
		return err
	}
	r.Values[record.PSS] = float64(b.Proc.PSS(usage))
	took, err := server.Stop()
	r.Values[record.First], r.Values[record.Stop] = server.First.Seconds(), took.Seconds()
	return err
}

// download measures one client that downloads the large file as fast as it can.
func (b *Bench) download(ctx context.Context, r *record.Result) error {
	crowd := load.Crowd{Path: "/" + LargeFile, Clients: 1, Last: time.Minute, Sample: time.Minute}
	err := b.serve(r, b.Large, func(server *target.Server) error {
		crowd.Address = server.Address()
		return b.sampled(r, server, func() (float64, error) {
			begin := time.Now()
			whole := crowd.Whole
			if r.Experiment.Secure() {
				whole = crowd.WholeSecure
			}
			n, err := whole(ctx)
			took := time.Since(begin).Seconds()
			if err == nil && n < LargeSize {
				err = fmt.Errorf("received %d of %d bytes", n, int64(LargeSize))
			}
			r.Values[record.Bytes], r.Values[record.Seconds] = float64(n), took
			return 0, err
		})
	})
	if n := r.Values[record.Bytes]; err == nil && n > 0 {
		r.Values[record.CPUPerGB] = r.Values[record.CPU] / (n / 1e9)
	}
	return err
}

// handshakes measures clients that open a TLS connection for each request.
func (b *Bench) handshakes(ctx context.Context, r *record.Result) error {
	err := b.serve(r, b.Site, func(server *target.Server) error {
		clients := load.Handshakes{Address: server.Address(), Path: page, Clients: r.Level, Resumed: r.Experiment == record.TLSResumed, Last: b.Times.Warm}
		if _, err := clients.Run(ctx); err != nil {
			return err
		}
		clients.Last = b.Times.Load
		return b.sampled(r, server, func() (float64, error) {
			n, err := clients.Run(ctx)
			r.Values[record.Requests], r.Values[record.Seconds] = float64(n), clients.Last.Seconds()
			r.Values[record.PerSecond] = float64(n) / clients.Last.Seconds()
			return 0, err
		})
	})
	if n := r.Values[record.Requests]; err == nil && n > 0 {
		r.Values[record.CPUPerRequest] = r.Values[record.CPU] / n
	}
	return err
}

// idle measures the memory of connections that are idle after one request each.
func (b *Bench) idle(ctx context.Context, r *record.Result) error {
	server, err := b.start(r, b.Site)
	if err != nil {
		return err
	}
	defer server.Kill()
	rest := time.Second
	if r.Experiment.Secure() {
		rest = 6 * time.Second // servers may free what an idle connection does not need
	}
	load.Idle(ctx, server.Address(), page, 64, r.Experiment.Secure(), func() {}) // so that one-time allocations do not count
	before, err := b.settled(ctx, server, rest)
	if err != nil {
		return err
	}
	var after int64
	held := load.Idle(ctx, server.Address(), page, r.Level, r.Experiment.Secure(), func() { after, err = b.settled(ctx, server, rest) })
	if err != nil {
		return err
	}
	if held == 0 {
		return fmt.Errorf("the server held no connection")
	}
	r.Values[record.Held], r.Values[record.PSS], r.Values[record.PSSIdle] = float64(held), float64(after), float64(before)
	r.Values[record.PerConnection] = max(0, float64(after-before)) / float64(held)
	return nil
}

// settled returns the PSS of a server in bytes after a rest.
func (b *Bench) settled(ctx context.Context, server *target.Server, rest time.Duration) (int64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(rest):
	}
	usage, err := b.Proc.Tree(server.PID())
	if err != nil {
		return 0, err
	}
	return b.Proc.PSS(usage), nil
}
