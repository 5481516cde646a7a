// Package supervise keeps the slots of the pool filled. Each slot has a
// desired and an actual state, and one loop in one goroutine takes messages,
// exits, signals and timers, and then reconciles the two: start, restart and
// shutdown are one path.
//
// A worker is a [Process] behind a func field, so that tests run the pool
// with fake ones.
package supervise

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

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
	err     *exitcode.Error // the first reason why the exit code is not 0
	cut     int             // workers that died in the drain

	wanted    int       // slots; see scale
	renewals  []*slot   // whose workers are to be replaced
	fresh     *Settings // that have not proved themselves; nil: there are none
	inReload  bool      // OnReload has been told so
	reloads   int       // so far
	upgrading bool      // when it is at rest
	dueAt     time.Time // for when the alarm was set; zero: it was not
	duckUntil time.Time // when the drain begins; zero: that is not known
	aliveAt   time.Time // when OnAlive is due; zero: never
	waitAt    time.Time // when OnWait is due; zero: not
	steered   []int     // slots that get new connections; nil: not known
	oomKills  int       // of this machine, when they were last looked at

	past     map[int]*Past // of each slot that there has been
	promises []promise     // orders that are not done yet
	failed   string        // why the last reload was given up, or ""
	said     string        // the last alert
	shown    uint32        // the last ID of an ipc.Show
	hush     hush          // whether others ask
	hushed   chan struct{} // Quiet is done; has room for it
}

// event is news of one process.
type event struct {
	worker  *worker
	message ipc.Message // nil for the others
	gone    error       // the channel ended
	exit    *Exit       // the process ended; its last event
}

// Run starts the pool, keeps it whole, and returns when every process has
// exited: nil after a clean drain, else an [*exitcode.Error].
func Run(cfg Config) error {
	p := &pool{Config: cfg, events: make(chan event), wanted: cfg.Slots, past: make(map[int]*Past), hushed: make(chan struct{}, 1)}
	p.defaults()
	p.oomKills = p.OOMKills()
	if p.Resume != nil {
		p.resume()
	} else {
		for i := range cfg.Slots {
			p.slots = append(p.slots, &slot{index: i, want: true})
		}
	}
	p.run()
	p.wg.Wait()
	p.close()
	p.Log.Info().Err(p.result()).Msg("stopped")
	return p.result()
}

func (p *pool) run() {
	if p.AliveEvery > 0 {
		p.aliveAt = p.Now()
	}
	for {
		p.reconcile()
		p.keepPromises()
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
		case ask := <-p.Desk.queue():
			ask(p)
		case <-p.hushed:
			if p.hush = silent; p.phase == stopping {
				p.loud() // nothing will be executed
			}
		case <-p.alarm():
			p.expire()
		}
	}
}

// result is nil or the reason, never a nil *exitcode.Error in an interface.
func (p *pool) result() error {
	if p.err == nil {
		return nil
	}
	if p.cut > 1 {
		return exitcode.New(p.err.Code, fmt.Sprintf("%v (and %d more)", p.err, p.cut-1), p.err)
	}
	return p.err
}

// idle reports that nothing is left to wait for.
func (p *pool) idle() bool {
	for _, s := range p.slots {
		if s.want || s.worker != nil || s.next != nil {
			return false
		}
	}
	return len(p.leaving) == 0
}

// workers returns every process there is.
func (p *pool) workers() []*worker {
	all := slices.Clone(p.leaving)
	for _, s := range p.slots {
		for _, w := range []*worker{s.worker, s.next} {
			if w != nil {
				all = append(all, w)
			}
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
			p.limit(s.worker, false)
			p.interrupt(s.worker)
		case !s.want && s.state == starting:
			p.interrupt(s.worker)
		}
		if !s.want && s.next != nil {
			p.interrupt(s.next)
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
	if p.phase == serving {
		p.scale()
		p.renew()
		p.provide()
		p.steer()
		p.exec()
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
		p.grant(s.worker)
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
		earlier(w.drainBy)
	}
	earlier(p.waitAt)
	earlier(p.duckUntil)
	earlier(p.aliveAt)
	for _, s := range p.slots {
		if s.state == backoff && s.want {
			earlier(s.retryAt)
		}
	}
	if p.dueAt = at; at.IsZero() {
		return nil
	}
	return p.After(max(0, at.Sub(p.Now())))
}

// expire kills the processes whose deadline has passed. Slots that wait to
// be filled are reconcile's.
func (p *pool) expire() {
	p.wait()
	p.alive()
	if !p.duckUntil.IsZero() && !p.Now().Before(p.duckUntil) {
		p.stop()
	}
	late := p.Now().Sub(p.dueAt) > lateTime
	for _, w := range p.workers() {
		if late && !w.deadline.IsZero() {
			// This process stood still itself: what the workers have said meanwhile
			// has not been heard yet.
			w.deadline = p.Now().Add(lateTime)
		}
		if !w.deadline.IsZero() && !p.Now().Before(w.deadline) {
			p.kill(w, w.overdue)
		}
		if !w.drainBy.IsZero() && !p.Now().Before(w.drainBy) {
			p.kill(w, fmt.Sprintf("not finished within %v", p.DrainTimeout))
		}
	}
}

// fail ends the pool for a reason that no restart can cure. Before anything
// was served there is nothing to drain.
func (p *pool) fail(err *exitcode.Error) {
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

func (p *pool) blame(err *exitcode.Error) {
	p.err = exitcode.New(err.Code, oneLine(err.Text), err.Cause)
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
