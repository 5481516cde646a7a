// Package snapshot makes one picture of a running pool, in the master: the slots
// as the pool has them, the counters as the workers write them, and what the
// kernel knows of the processes and of their listening sockets.
//
// An [Observer] is also where supervise finds a row for each process, and where
// the access log finds the rings. It takes a sample each second once somebody
// may look ([Observer.Start]), so that it can tell what is happening now from
// what has happened so far.
package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/status"
	"phalanx/internal/supervise"
)

// Info is what does not change, or only with a reload.
type Info struct {
	Version, Address, Base, Model string
}

// Config is what an Observer needs.
type Config struct {
	Board   *scoreboard.Board
	Desk    *supervise.Desk
	Log     *Log
	Info    func() Info
	Started time.Time // of the master
}

// Observer watches one pool. Its methods may be called from any goroutine.
type Observer struct {
	Config
	now  func() time.Time
	proc string // "/proc"

	mu      sync.Mutex
	samples []sample // one a second, the last is the latest; at most windowMax and one
	history []status.Point
	spent   map[int]float64 // seconds of CPU time by pid, as last seen

	quit   chan struct{}
	joined sync.WaitGroup
}

// lookTime is how long the pool's loop may take to answer.
const lookTime = 3 * time.Second

// New returns an observer. The rings of rows that the board has already go to the
// log.
func New(cfg Config) (*Observer, error) {
	err := cfg.Board.Rings(cfg.Log.Attach)
	return &Observer{Config: cfg, now: time.Now, proc: "/proc", quit: make(chan struct{})}, err
}

// Start begins to take samples; End ends that.
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

// End joins what Start began.
func (o *Observer) End() {
	close(o.quit)
	o.joined.Wait()
}

// Open takes a row for a process that is about to start (supervise.Rows).
func (o *Observer) Open(slot int) (row int, err error) {
	row, seat, err := o.Board.Open(slot)
	if err != nil {
		return row, err
	}
	if err := o.Log.Attach(row, seat.Ring); err != nil {
		_ = o.Board.Close(row) // it was just opened
		return -1, err
	}
	return row, nil
}

// Close is told that the process of a row has ended.
func (o *Observer) Close(row int) error {
	o.Log.Detach(row)
	return o.Board.Close(row)
}

// Doing says what the worker of a row was at.
func (o *Observer) Doing(row int) string {
	s, ok := o.Board.Look(row)
	switch {
	case !ok:
		return ""
	case s.Busy && len(s.Last) > 0:
		return fmt.Sprintf("it was at %q", s.Last)
	case len(s.Oldest) > 0:
		age := time.Duration(monotonic() - s.OldestAt).Round(time.Second)
		return fmt.Sprintf("of its %s, the one under way for longest was at %q for %v", human.Plural(s.Active, "connection", "connections"), s.Oldest, age)
	case s.Active > 0:
		return "it had " + human.Plural(s.Active, "connection", "connections")
	}
	return ""
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// Connections lists those of one worker. It returns [status.ErrNoWorker], or another error when the worker does not
// answer.
func (o *Observer) Connections(slot, pid int) (c status.Connections, err error) {
	fd, err := unix.MemfdCreate("phalanx-list", unix.MFD_CLOEXEC)
	if err != nil {
		return c, fmt.Errorf("list connections: %w", err)
	}
	file := os.NewFile(uintptr(fd), "list")
	defer file.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	if err := o.Desk.List(ctx, slot, pid, fd); err != nil {
		return c, fmt.Errorf("list connections: %w", err)
	}
	if err := json.NewDecoder(io.NewSectionReader(file, 0, listMax)).Decode(&c); err != nil {
		return c, fmt.Errorf("list connections: %w", err)
	}
	return c, nil
}

// listMax bounds what is read of a list, in bytes: a worker may have gone mad.
const listMax = 64 << 20

// Reload is that of the desk, as are Scale and Stop.
func (o *Observer) Reload(ctx context.Context) status.Outcome { return o.Desk.Reload(ctx) }

// Scale makes n the number of workers.
func (o *Observer) Scale(ctx context.Context, n int) status.Outcome { return o.Desk.Scale(ctx, n) }

// Stop lets the pool end.
func (o *Observer) Stop() status.Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	return o.Desk.Stop(ctx)
}
