// Package supervise keeps the slots of the pool filled. Each slot has a desired and an actual
// state. One loop in one goroutine handles messages, exits, signals and timers, and then
// reconciles the two states: start, respawn and shutdown are one code path.
//
// Workers are started through a func field that returns a [Process], so that tests can run the
// pool with fakes.
package supervise

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/observe/status"
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
	slots       []*slot
	closing     []*slot   // slots that are being closed, in order; their indexes follow those of slots
	detached    []*worker // draining workers without a slot
	phase       phase
	calls       chan func() // of other goroutines to this one, unbuffered; run takes them until no process is left
	ended       context.Context
	wg          sync.WaitGroup // the goroutines of attend
	stops       int            // number of INT and TERM signals so far
	stoppedAt   time.Time      // time of the last one
	queuesEmpty bool           // OnQueuesEmpty was called
	stopBy      time.Time      // when draining workers are killed; zero: never
	forced      bool
	err         *exitcode.Error // the first reason why the exit code is not 0
	cutShort    int             // workers that died while draining

	wanted        int       // wanted number of slots; see scale
	wantedReason  string    // why this many, for the answer to an order
	toReplace     []*slot   // slots whose workers must be replaced
	candidate     *Settings // settings of a reload, until a worker is ready with them; nil: none
	loading       bool      // the settings of a reload are being read
	loadLate      time.Time // when it is reported that this takes long; zero: never
	reloadAgain   bool      // another reload was requested meanwhile
	reloading     bool      // OnReload was last called with true
	reloads       int       // number of reloads so far
	upgrading     bool      // an upgrade is due as soon as the pool is stable
	upgradeLate   time.Time // when it is reported that it has to wait; zero: never
	check         checkState
	alarmAt       time.Time // time for which the alarm is set; zero: it is not set
	lameDuckUntil time.Time // when the drain begins; zero: no lame duck
	aliveAt       time.Time // when OnAlive is due; zero: never
	progressAt    time.Time // when OnProgress is due; zero: never
	// Time of the next log line about the drain, and the interval after it.
	progressLogAt   time.Time
	progressLogWait time.Duration
	steered         []int // slots that get new connections; nil: not known
	oom             oomState

	totals      map[int]*Totals // totals of each slot that has existed
	orders      []order         // orders that are not answered yet
	reloadError string          // why the last reload failed, or ""
	lastAlert   string
	unreadable  bool            // it was reported that workers may not read what they serve
	unconfined  string          // what the last worker without a complete sandbox lacked
	lastListID  uint32          // ID of the last ipc.Show
	credentials uint32          // ID of the credentials that were sent last
	confirmed   uint32          // ID of the last OnCredentials
	resendAt    time.Time       // when sending credentials is retried; zero: never
	unsent      bool            // it was reported that credentials could not be sent
	requests    requestState    // whether requests reach the Controller
	orphans     []*orphaned     // connections of dead workers
	handovers   []*handover     // handover channels
	looking     sync.Mutex      // held while channels of dead workers are searched
	keepers     map[int]*worker // workers whose keepers run, by the keepers' pids
	transfers   int             // transfers under way, and keepers that are being discarded
	rescues     status.Rescue   // totals so far
}

// Run starts the pool, keeps its slots filled, and returns when every process has exited: nil
// after a clean drain, otherwise an [*exitcode.Error].
func Run(cfg Config) error {
	ended, end := context.WithCancel(context.Background())
	p := &pool{Config: cfg, ended: ended, wanted: cfg.Slots, totals: make(map[int]*Totals), keepers: make(map[int]*worker)}
	p.defaults()
	p.calls, p.Controller.pool = p.Controller.calls, p
	p.oom.last = p.OOMKills()
	p.readOOM()
	if p.Resume != nil {
		p.resume()
	} else {
		for i := range cfg.Slots {
			p.slots = append(p.slots, &slot{index: i, want: true})
		}
	}
	p.run()
	end()
	p.wg.Wait()
	p.closeHandovers()
	p.closeController()
	p.Log.Info().Err(p.result()).Msg("stopped")
	return p.result()
}

func (p *pool) run() {
	if p.AliveEvery > 0 {
		p.aliveAt = p.Now()
	}
	for {
		p.reconcile()
		p.answerOrders()
		p.confirmCredentials()
		if p.finished() {
			return
		}
		select {
		case call := <-p.calls:
			call()
		case sig := <-p.Signals:
			p.signal(sig)
		case <-p.CredentialsChanged:
			p.sendCredentialsToAll()
		case <-p.ChildExits:
			p.reap()
		case <-p.alarm():
			p.expire()
		}
	}
}

// work calls f, which may take long (a disk may not respond), outside the loop, and afterwards
// then in the loop, with the error. The pool does not wait for f when it ends, but cancels its
// context.
func (p *pool) work(f func(context.Context) error, then func(error)) {
	go func() {
		err := f(p.ended)
		p.later(func() { then(err) })
	}()
}

// later makes the loop call f, unless the pool ends before.
func (p *pool) later(f func()) {
	select {
	case p.calls <- f:
	case <-p.ended.Done():
	}
}

// result returns nil or the reason, never a nil *exitcode.Error in an interface.
func (p *pool) result() error {
	if p.err == nil {
		return nil
	}
	if p.cutShort > 1 {
		return exitcode.New(p.err.Code, fmt.Sprintf("%v (and %d more)", p.err, p.cutShort-1), p.err)
	}
	return p.err
}

// finished reports whether nothing is left to wait for.
func (p *pool) finished() bool {
	busy := slices.ContainsFunc(p.all(), func(s *slot) bool { return s.want || s.worker != nil || s.next != nil })
	return !busy && len(p.detached) == 0 && len(p.keepers) == 0 && p.transfers == 0
}

// all returns all slots, including those that are being closed.
func (p *pool) all() []*slot { return slices.Concat(p.slots, p.closing) }

// workers returns all processes of the pool.
func (p *pool) workers() []*worker {
	all := slices.Clone(p.detached)
	for _, s := range p.all() {
		for _, w := range []*worker{s.worker, s.next} {
			if w != nil {
				all = append(all, w)
			}
		}
	}
	return all
}

// reconcile moves every slot towards its desired state.
func (p *pool) reconcile() {
	p.placeOrphans()
	if p.phase == stopping {
		p.closeQueues()
		p.tendHandovers()
	}
	for _, s := range p.all() {
		due := s.state == empty || s.state == backoff && !p.Now().Before(s.retryAt)
		switch {
		case s.want && due:
			p.spawn(s)
		case !s.want && s.state == ready:
			p.move(s, drain)
			p.limitDrain(s.worker, false)
			p.interrupt(s.worker)
		case !s.want && (s.state == starting || s.state == draining):
			p.interrupt(s.worker)
		}
		if !s.want && s.next != nil {
			p.interrupt(s.next)
		}
	}
	if p.phase == stopping {
		for _, w := range p.detached {
			p.interrupt(w)
		}
	}
	if p.phase == launching && !slices.ContainsFunc(p.slots, func(s *slot) bool { return s.state != ready }) {
		p.serveAll()
	}
	if p.phase == serving {
		p.scale()
		p.replaceNext()
		p.findSuccessors()
		p.tendHandovers()
		p.steer()
		for _, w := range p.workers() {
			p.share(w)
		}
		p.tryUpgrade()
	}
}

func (p *pool) serveAll() {
	p.phase = serving
	for _, s := range p.slots {
		p.startServing(s.worker)
	}
	p.OnServing(len(p.slots))
}

// timer is something to do at a time; zero: never.
type timer struct {
	at time.Time
	do func()
}

// timers returns the timers of the pool, without those of workers.
func (p *pool) timers() []timer {
	all := []timer{
		{p.progressAt, p.reportProgress}, {p.aliveAt, p.alive}, {p.resendAt, p.sendCredentialsToAll},
		{p.loadLate, p.tellLoading}, {p.upgradeLate, p.tellUpgrading}, {p.lameDuckUntil, p.drain}, {p.oom.readAgain, p.readOOM},
	}
	for _, o := range p.orphans {
		all = append(all, timer{o.tellBy, func() { p.tell(o) }})
	}
	return all
}

// alarm returns a channel that delivers at the next deadline; nil if there is none.
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
		earlier(w.unkeptUntil)
	}
	for _, t := range p.timers() {
		earlier(t.at)
	}
	for _, s := range p.all() {
		if s.state == backoff && s.want {
			earlier(s.retryAt)
		}
	}
	for _, s := range p.toReplace {
		if p.Now().Before(s.replaceAt) {
			earlier(s.replaceAt)
		}
	}
	if p.alarmAt = at; at.IsZero() {
		return nil
	}
	return p.After(max(0, at.Sub(p.Now())))
}

// due reports whether a time has come; the zero time never does.
func (p *pool) due(at time.Time) bool { return !at.IsZero() && !p.Now().Before(at) }

// expire does what is due, and kills the processes whose deadline has passed. reconcile handles
// slots in backoff.
func (p *pool) expire() {
	for _, t := range p.timers() {
		if p.due(t.at) {
			t.do()
		}
	}
	late := p.Now().Sub(p.alarmAt) > lateTime
	for _, w := range p.workers() {
		switch {
		case !p.due(w.deadline):
		case late && !w.spared:
			// The master itself was stopped for a while: it has not received the messages
			// that the workers have sent meanwhile.
			w.deadline, w.spared = p.Now().Add(stallTime), true
		case w.killed:
			p.tellStuck(w)
		default:
			p.kill(w, w.killReason)
		}
		if p.due(w.drainBy) {
			p.kill(w, fmt.Sprintf("%s after %v", drainTimedOut, p.DrainTimeout))
		}
		if p.due(w.unkeptUntil) {
			p.replaceUnkept(w)
		}
	}
}

// fail ends the pool for a reason that a respawn does not cure. If nothing was served yet, there
// is nothing to drain.
func (p *pool) fail(err *exitcode.Error) {
	if p.phase == stopping {
		return
	}
	served := p.phase == serving
	p.setError(err)
	p.drain()
	if !served {
		p.killAll("another worker failed")
	}
}

func (p *pool) setError(err *exitcode.Error) {
	p.err = exitcode.New(err.Code, oneLine(err.Text), err.Cause)
}

// reap reaps exited children that the pool did not start. It runs in the pool's goroutine, which
// also starts processes, so it never sees a process of the pool that the pool does not know yet.
func (p *pool) reap() {
	if err := p.Reap(p.ours); err != nil {
		p.Log.Info().Err(err).Msg("orphans not reaped")
	}
}

// reapBehind reaps after a child of the pool has been reaped: Reap stops at such a child, and there
// may be others behind it.
func (p *pool) reapBehind() {
	if p.ChildExits != nil {
		p.reap()
	}
}

// move makes a transition. A transition that is not in the table is a bug in this package; no
// input can cause it.
func (p *pool) move(s *slot, c change) {
	to, err := next(s.state, c)
	if err != nil {
		panic(fmt.Errorf("slot %d: %w", s.index, err))
	}
	s.state = to
}
