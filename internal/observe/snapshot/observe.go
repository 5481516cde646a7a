// Package snapshot takes snapshots of a running pool, in the master: the slots as
// the supervisor has them, the counters that workers write, and what the kernel
// reports about the processes and their listening sockets.
//
// An [Observer] also gives the supervisor a scoreboard row for each process, and
// the access log the ring of each row. Once started ([Observer.Start]) it takes
// a sample per second, from which current rates and latencies are computed.
package snapshot

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/accesslog"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/status"
	"phalanx/internal/supervise"
)

// Info describes the server; it changes only with a reload.
type Info struct {
	Version, Address, Base, Model string
	Sites                         []Site // by number; nil if there is only one
}

// Site is the name of a site and its document root, "" if its hosts are refused.
type Site struct{ Name, Base string }

// Config is what an Observer needs.
type Config struct {
	Board      *scoreboard.Board
	Controller *supervise.Controller
	Log        *accesslog.Writer
	Info       func() Info
	// Certificates returns the certificates for HTTPS; nil without HTTPS.
	Certificates func() []status.Certificate
	ACME         func() *status.ACME   // nil without ACME
	Helper       func() *status.Helper // nil without a helper
	Refused      func() []string       // returns why changed certificates are not used; nil without HTTPS
	Started      time.Time             // of the master
}

// Observer observes one pool. Its methods are safe for concurrent use.
type Observer struct {
	Config
	now  func() time.Time
	proc string // "/proc"

	mu      sync.Mutex
	samples []sample // one per second, the latest last; at most windowMax + 1
	history []status.Point

	list   chan struct{} // semaphore: one list of connections at a time
	listed time.Time     // end of the last list; guarded by the semaphore

	quit   chan struct{}
	joined sync.WaitGroup
}

const (
	// lookTime is the timeout of a query to the supervisor's loop.
	lookTime = 3 * time.Second
	// listPause is the minimum time between two lists of connections: every client may
	// request one, and it takes time of a worker.
	listPause = 10 * time.Millisecond
)

// New returns an observer. The rings of rows already in use are attached to the
// log.
func New(cfg Config) (*Observer, error) {
	o := &Observer{Config: cfg, now: time.Now, proc: "/proc", list: make(chan struct{}, 1), quit: make(chan struct{})}
	return o, cfg.Board.Rings(o.attach)
}

// attach gives the access log the ring of a row.
func (o *Observer) attach(row int, mem []byte) error {
	ring, err := accesslog.NewRing(mem)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	o.Log.Attach(row, ring)
	return nil
}

// Start starts sampling once per second; End stops it.
func (o *Observer) Start() {
	o.joined.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			o.sample()
			select {
			case <-tick.C:
			case <-o.quit:
				return
			}
		}
	})
}

// End stops sampling and waits for it.
func (o *Observer) End() {
	close(o.quit)
	o.joined.Wait()
}

// Open allocates a row for a process that is about to start (supervise.Rows).
func (o *Observer) Open(slot int) (row int, err error) {
	row, mapped, err := o.Board.Open(slot)
	if err != nil {
		return row, err
	}
	if err := o.attach(row, mapped.Ring); err != nil {
		_ = o.Board.Close(row) // it was just opened
		return -1, err
	}
	return row, nil
}

// Close releases the row of a process that has exited.
func (o *Observer) Close(row int) error {
	o.Log.Detach(row)
	return o.Board.Close(row)
}

// Doing returns how many connections the worker of a row had at its last heartbeat, and a
// description of the request that it is serving, "" if there is none.
func (o *Observer) Doing(row int) (connections int, request string) {
	s, ok := o.Board.Look(row)
	switch {
	case !ok:
		return 0, ""
	case s.Busy && len(s.Last) > 0:
		request = fmt.Sprintf("serving %q", s.Last)
	case len(s.Oldest) > 0:
		age := time.Duration(monotonic() - s.OldestAt).Round(time.Second)
		request = fmt.Sprintf("oldest request %q (%v)", s.Oldest, age)
	}
	return int(max(0, s.Active)), request
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// Connections lists the connections of one worker. Concurrent calls wait for each other.
// It returns [status.ErrNoWorker], or another error if the worker does not respond.
func (o *Observer) Connections(slot, pid int) (c status.Connections, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	select {
	case o.list <- struct{}{}:
	case <-ctx.Done():
		return c, fmt.Errorf("list connections: waiting for another list: %w", ctx.Err())
	}
	defer func() { o.listed = time.Now(); <-o.list }()
	time.Sleep(time.Until(o.listed.Add(listPause)))
	fd, err := unix.MemfdCreate("phalanx-list", unix.MFD_CLOEXEC)
	if err != nil {
		return c, fmt.Errorf("list connections: %w", err)
	}
	file := os.NewFile(uintptr(fd), "list")
	defer file.Close()
	if err := o.Controller.List(ctx, slot, pid, fd); err != nil {
		return c, fmt.Errorf("list connections: %w", err)
	}
	if c, err = status.ReadList(io.NewSectionReader(file, 0, math.MaxInt64)); err != nil {
		return c, fmt.Errorf("list connections: %w", err)
	}
	c.Slot, c.PID = slot, pid
	return c, nil
}

// Reload reloads the pool.
func (o *Observer) Reload(ctx context.Context) status.Outcome { return o.Controller.Reload(ctx) }

// Scale sets the number of workers.
func (o *Observer) Scale(ctx context.Context, n int) status.Outcome {
	return o.Controller.Scale(ctx, n)
}

// Stop starts a drain.
func (o *Observer) Stop() status.Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	return o.Controller.Stop(ctx)
}
