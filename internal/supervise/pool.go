// Package supervise keeps the slots of the pool filled. Each slot has a
// desired and an actual state, and one loop in one goroutine takes messages,
// exits, signals and timers, and then reconciles the two: start, restart and
// shutdown are one path.
//
// A worker is a [Process] behind a func field, so that tests run the pool
// with fake ones.
package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/ipc"
)

// Config is what a pool needs. Signals, Spawn and Version are required.
type Config struct {
	Slots   int
	Version string                          // that each worker must have
	Worker  string                          // its path, for errors
	Spawn   func(slot int) (Process, error) // starts the process of a slot
	Signals <-chan os.Signal                // INT, TERM, HUP drain; a second INT or TERM kills
	Orphans <-chan os.Signal                // CHLD, for a process that inherits orphans; else nil

	OnServing func()            // once, when all workers were told to serve
	OnDrain   func()            // once, before the workers are told to finish
	Alert     func(line string) // what the user must know even in silent mode
	Log       zerolog.Logger

	Now   func() time.Time                     // time.Now
	After func(time.Duration) <-chan time.Time // time.After
	Reap  func(ours func(pid int) bool) error  // [Reap]
}

// phase is the life of the pool as a whole.
type phase int

const (
	launching phase = iota // before every worker was ready once
	serving
	stopping
)

// pool is owned by the goroutine that runs [Run].
type pool struct {
	Config
	slots   []*slot
	leaving []*worker // that drain by themselves and have no slot any more
	phase   phase
	events  chan event     // unbuffered: run takes them until no process is left
	wg      sync.WaitGroup // the goroutines of attend
	stops   int            // INT and TERM so far
	stopped time.Time      // when the last of them came
	forced  bool
	err     *Error // the first reason why the exit code is not 0
	cut     int    // workers that died in the drain
}

// event is news of one process.
type event struct {
	worker  *worker
	message ipc.Message // nil for the others
	gone    error       // the channel ended
	exit    *Exit       // the process ended; its last event
}

// Run starts the pool, keeps it whole, and returns when every process has
// exited: nil after a clean drain, else an [*Error].
func Run(cfg Config) error {
	p := &pool{Config: cfg, events: make(chan event)}
	p.defaults()
	for i := range cfg.Slots {
		p.slots = append(p.slots, &slot{index: i, want: true})
	}
	p.run()
	p.wg.Wait()
	p.Log.Info().Err(p.result()).Msg("stopped")
	return p.result()
}

func (p *pool) defaults() {
	nothing := func() {}
	if p.OnServing == nil {
		p.OnServing = nothing
	}
	if p.OnDrain == nil {
		p.OnDrain = nothing
	}
	if p.Alert == nil {
		p.Alert = func(string) {}
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.After == nil {
		p.After = time.After
	}
	if p.Reap == nil {
		p.Reap = Reap
	}
}

func (p *pool) run() {
	for {
		p.reconcile()
		if p.idle() {
			return
		}
		select {
		case e := <-p.events:
			p.handle(e)
		case sig := <-p.Signals:
			p.signal(sig)
		case <-p.Orphans:
			p.reap()
		case <-p.alarm():
			p.expire()
		}
	}
}

// result is nil or the reason, never a nil *Error in an interface.
func (p *pool) result() error {
	if p.err == nil {
		return nil
	}
	if p.cut > 1 {
		return &Error{p.err.code, fmt.Sprintf("%v (and %d more)", p.err, p.cut-1), p.err}
	}
	return p.err
}

// idle reports that nothing is left to wait for.
func (p *pool) idle() bool {
	for _, s := range p.slots {
		if s.want || s.worker != nil {
			return false
		}
	}
	return len(p.leaving) == 0
}

// workers returns every process there is.
func (p *pool) workers() []*worker {
	all := slices.Clone(p.leaving)
	for _, s := range p.slots {
		if s.worker != nil {
			all = append(all, s.worker)
		}
	}
	return all
}

// reconcile moves every slot towards what is desired of it.
func (p *pool) reconcile() {
	for _, s := range p.slots {
		due := s.state == empty || s.state == backoff && !p.Now().Before(s.retryAt)
		switch {
		case s.want && due:
			p.spawn(s)
		case !s.want && s.state == ready:
			p.move(s, drain)
			p.interrupt(s.worker)
		case !s.want && s.state == starting:
			p.interrupt(s.worker)
		}
	}
	if p.phase == stopping {
		for _, w := range p.leaving {
			p.interrupt(w)
		}
	}
	if p.phase == launching && p.allReady() {
		p.serveAll()
	}
}

func (p *pool) allReady() bool {
	for _, s := range p.slots {
		if s.state != ready {
			return false
		}
	}
	return true
}

func (p *pool) serveAll() {
	p.phase = serving
	for _, s := range p.slots {
		p.tell(s.worker, ipc.Serve{})
	}
	p.OnServing()
}

// alarm returns a channel that delivers at the next deadline, nil if there
// is none.
func (p *pool) alarm() <-chan time.Time {
	var at time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, w := range p.workers() {
		earlier(w.deadline)
	}
	for _, s := range p.slots {
		if s.state == backoff && s.want {
			earlier(s.retryAt)
		}
	}
	if at.IsZero() {
		return nil
	}
	return p.After(max(0, at.Sub(p.Now())))
}

// expire kills the processes whose deadline has passed. Slots that wait to
// be filled are reconcile's.
func (p *pool) expire() {
	for _, w := range p.workers() {
		if !w.deadline.IsZero() && !p.Now().Before(w.deadline) {
			p.kill(w, w.overdue)
		}
	}
}

// sameSignal is how soon after a stop another one is still the same.
const sameSignal = 30 * time.Millisecond

// signal takes one of the master's own signals.
func (p *pool) signal(sig os.Signal) {
	if sig != syscall.SIGHUP {
		// Some who send a signal send it to a process and then to its group:
		// that is one request, and nobody presses Ctrl-C twice so fast.
		if p.stops > 0 && p.Now().Sub(p.stopped) < sameSignal {
			return
		}
		p.stops++
		p.stopped = p.Now()
	}
	p.Log.Info().Str("signal", sig.String()).Msg("signal received")
	if p.phase != stopping {
		p.stop()
		return
	}
	if p.stops > 1 && !p.forced {
		p.forced = true
		if p.err == nil || p.cut > 0 {
			p.err = &Error{forceCode, "stopped by force: requests under way were cut", nil}
			p.cut = 0
		}
		p.killAll("second signal")
	}
}

// stop makes every slot unwanted; reconcile relays SIGINT.
func (p *pool) stop() {
	p.phase = stopping
	for _, s := range p.slots {
		s.want = false
	}
	p.Log.Info().Msg("draining")
	p.OnDrain()
}

// fail ends the pool for a reason that no restart can cure. Before anything
// was served there is nothing to drain.
func (p *pool) fail(err *Error) {
	if p.phase == stopping {
		return
	}
	served := p.phase == serving
	p.blame(err)
	p.stop()
	if !served {
		p.killAll("another worker failed")
	}
}

func (p *pool) blame(err *Error) {
	p.err = &Error{err.code, oneLine(err.text), err.err}
}

func (p *pool) killAll(why string) {
	for _, w := range p.workers() {
		p.kill(w, why)
	}
}

func (p *pool) kill(w *worker, why string) {
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Str("why", why).Msg("worker killed")
	w.deadline = time.Time{}
	w.overdue, w.killed = why, true
	p.send(w, syscall.SIGKILL)
}

// interrupt relays SIGINT, once, and not to the dead.
func (p *pool) interrupt(w *worker) {
	if w.signalled || w.killed {
		return
	}
	w.signalled = true
	p.send(w, syscall.SIGINT)
}

func (p *pool) send(w *worker, sig syscall.Signal) {
	if err := w.proc.Signal(sig); err != nil {
		p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Err(err).Msg("signal not sent")
	}
}

// tell sends a message; a worker that does not take it is of no use.
func (p *pool) tell(w *worker, m ipc.Message) {
	if err := w.proc.Send(m); err != nil && !errors.Is(err, syscall.EPIPE) {
		p.kill(w, err.Error())
	}
}

// reap takes note of the ends of children that are not the pool's. It runs
// in the pool's goroutine, which also starts processes: nothing here can be
// a process of which it does not know yet.
func (p *pool) reap() {
	ours := func(pid int) bool {
		return slices.ContainsFunc(p.workers(), func(w *worker) bool { return w.pid == pid })
	}
	if err := p.Reap(ours); err != nil {
		p.Log.Info().Err(err).Msg("orphans not reaped")
	}
}

// move makes a transition. One that is not in the table is a bug of this
// package, which no input can cause.
func (p *pool) move(s *slot, c change) {
	to, err := next(s.state, c)
	if err != nil {
		panic(fmt.Errorf("slot %d: %w", s.index, err))
	}
	s.state = to
}
