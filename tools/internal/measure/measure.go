// Package measure measures one cell: it starts a new server, warms it up, loads
// it and samples its processes meanwhile, stops it, and returns the numbers.
// Each kind of load is a method of Bench.
package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"phalanx/tools/internal/plan"
	"phalanx/tools/internal/proctree"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
	"phalanx/tools/internal/tool"
)

// Bench holds what the cells of a run have in common.
type Bench struct {
	Targets map[string]target.Target
	Site    target.Site // the website of small pages
	Huge    target.Site // the website of HugeFile
	Large   target.Site // the website of LargeFile
	Vegeta  string      // path of the program
	Rules   string      // path of siege's rc file
	Script  string      // path of wrk's script
	OpenSSL string      // path of OpenSSL's configuration for wrk and h2load

	Certificate, Key string // PEM files for servers that speak TLS
	Times            plan.Times
	Proc             proctree.Reader
	Now              func() time.Time
}

// Files of the sites Huge and Large, and their sizes in bytes.
const (
	HugeFile  = "huge.bin" // for forward progress and slow downloads
	HugeSize  = 100_000_000_000
	LargeFile = "large.bin" // for one download
	LargeSize = 4_000_000_000
)

// SizedFile returns the name of the site Large's file of kib KiB.
func SizedFile(kib int) string { return fmt.Sprintf("%d.bin", kib) }

// Cell measures one cell and returns the result and the output of the tool. It
// returns an error only if the context was cancelled: any other failure makes
// the result void.
func (b *Bench) Cell(ctx context.Context, c record.Cell) (record.Result, []byte, error) {
	r := record.Result{Cell: c, Start: b.Now().UTC().Truncate(time.Second), Values: make(map[record.Metric]float64)}
	output, err := b.load(ctx, &r)
	if ctx.Err() != nil {
		return r, nil, context.Cause(ctx)
	}
	if err != nil {
		r.Void = b.anonymous(err.Error())
		r.Values, r.Workers, r.Series = nil, nil, nil
	}
	for metric, value := range r.Values {
		r.Values[metric] = round(value, 9)
	}
	return r, []byte(b.anonymous(string(output))), nil
}

// anonymous replaces the paths of this machine in a text that is published.
func (b *Bench) anonymous(text string) string {
	for _, dir := range []string{b.Site.Scratch, b.Site.Base, b.Huge.Base, b.Large.Base} {
		if dir != "" {
			text = strings.ReplaceAll(text, dir, "DIR")
		}
	}
	return text
}

func (b *Bench) load(ctx context.Context, r *record.Result) ([]byte, error) {
	switch r.Experiment {
	case record.Siege, record.KeepAlive, record.Close, record.Rate, record.TLSKept,
		record.H2One, record.H2Ten, record.H2Hundred:
		return b.requests(ctx, r)
	case record.SizeKept, record.SizeClose, record.TLSSizeKept, record.TLSSizeClose:
		return b.sizes(ctx, r)
	case record.Progress:
		return nil, b.progress(ctx, r)
	case record.StartStop:
		return nil, b.startStop(r)
	case record.Download, record.TLSDownload:
		return nil, b.download(ctx, r)
	case record.Slow:
		return nil, b.slow(ctx, r)
	case record.Idle, record.TLSIdle:
		return nil, b.idle(ctx, r)
	case record.TLSFull, record.TLSResumed:
		return nil, b.handshakes(ctx, r)
	case record.KillKept, record.KillClose, record.Reload:
		return nil, b.faults(ctx, r)
	}
	return nil, fmt.Errorf("unknown experiment %q", r.Experiment)
}

// start starts the cell's server with additional arguments.
func (b *Bench) start(r *record.Result, site target.Site, more ...string) (*target.Server, error) {
	t, ok := b.Targets[r.Server]
	if !ok {
		return nil, fmt.Errorf("unknown server %q", r.Server)
	}
	if r.Experiment.Secure() {
		site.Certificate, site.Key = b.Certificate, b.Key
	}
	site.Closing = r.Experiment == record.Close
	return t.With(more...).Start(site)
}

// serve starts a server, runs the work and stops the server. If the work fails
// the server is killed, since a graceful stop could wait for a long download.
func (b *Bench) serve(r *record.Result, site target.Site, work func(*target.Server) error) error {
	server, err := b.start(r, site)
	if err != nil {
		return err
	}
	if err := work(server); err != nil {
		server.Kill()
		return err
	}
	_, err = server.Stop()
	return err
}

// sampled runs the load, which returns the CPU time of its client in seconds,
// and samples the server's processes meanwhile.
func (b *Bench) sampled(r *record.Result, server *target.Server, load func() (client float64, err error)) error {
	s, err := watch(b.Proc, server.PID())
	if err != nil {
		return err
	}
	client, err := load()
	if err != nil {
		s.stop()
		return err
	}
	return s.end(r, client)
}

// grace is how long a tool may take beyond its time, to start and to evaluate.
const grace = 15 * time.Second

// run executes a tool in its own process group and waits for it, at most last
// plus grace. It returns the output and the CPU time in seconds. An exit code
// other than 0 is not an error.
func run(ctx context.Context, last time.Duration, call tool.Call) (out tool.Output, cpu float64, err error) {
	limited, cancel := context.WithTimeout(ctx, last+grace)
	defer cancel()
	cmd := exec.CommandContext(limited, call.Args[0], call.Args[1:]...)
	cmd.Env = append(os.Environ(), call.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if call.Input != "" {
		cmd.Stdin = bytes.NewReader([]byte(call.Input))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	out = tool.Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	if cmd.ProcessState != nil {
		cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	if limited.Err() != nil && ctx.Err() == nil {
		return out, cpu, &tool.VoidError{Reason: fmt.Sprintf("%s was still running %v after its time", filepath.Base(call.Args[0]), grace)}
	}
	if _, exited := errors.AsType[*exec.ExitError](err); exited && ctx.Err() == nil {
		err = nil // its output says more than its exit code
	}
	return out, cpu, err
}

// round rounds to the given number of decimals, and large values to integers:
// no clock here is more precise.
func round(v float64, digits int) float64 {
	if math.Abs(v) >= 1e6 {
		digits = 0
	}
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

// set stores a value unless it is NaN or infinite, which JSON cannot represent.
func set(values map[record.Metric]float64, m record.Metric, v float64) {
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		values[m] = v
	}
}
