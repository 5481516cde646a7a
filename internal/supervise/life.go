package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

// This file is the life of one process: spawn, attend, its messages, its
// death.

func (p *pool) spawn(s *slot) {
	p.move(s, spawn)
	s.worker = &worker{slot: s, started: p.Now()}
	p.launch(s.worker, p.settings())
}

// settings are those that have proved themselves.
func (p *pool) settings() Settings {
	return Settings{Spawn: p.Spawn, Worker: p.Worker, Slots: p.Slots}
}

// launch starts the process of a worker.
func (p *pool) launch(w *worker, s Settings) {
	w.binary = s.Worker
	w.row = p.open(w)
	proc, err := s.Spawn(w.slot.index, w.row)
	if err != nil {
		p.died(w, Exit{Err: err})
		return
	}
	w.proc, w.pid = proc, proc.PID()
	w.deadline = w.started.Add(startTime)
	w.overdue = fmt.Sprintf("not ready within %v", startTime)
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Msg("worker started")
	p.attend(w)
}

// attend turns what a process does into events. Both goroutines end with the
// process: its exit is reported when its last message has been, and run
// takes events until every exit has come.
func (p *pool) attend(w *worker) {
	heard := make(chan struct{})
	p.wg.Go(func() {
		defer close(heard)
		for {
			m, err := w.proc.Receive()
			if err != nil {
				p.events <- event{worker: w, gone: err}
				return
			}
			p.events <- event{worker: w, message: m}
		}
	})
	p.wg.Go(func() {
		e := w.proc.Wait()
		<-heard
		w.proc.Close()
		p.events <- event{worker: w, exit: &e}
	})
}

func (p *pool) handle(e event) {
	switch {
	case e.exit != nil:
		p.died(e.worker, *e.exit)
		if p.Orphans != nil {
			p.reap() // its end may have hidden others
		}
	case e.gone != nil:
		p.lost(e.worker, e.gone)
	default:
		p.heard(e.worker, e.message)
	}
}

// lost is told that a channel ended. A dying process closes it a moment
// before it can be waited for; one that drains may take all the time it
// needs; any other has nobody to take orders from.
func (p *pool) lost(w *worker, err error) {
	switch {
	case w.killed:
	case w.finishing():
		w.deadline = time.Time{} // it cannot say any longer that it lives
	case errors.Is(err, io.EOF):
		w.deadline = p.Now().Add(goneTime)
		w.overdue = "closed its control channel"
	default:
		p.kill(w, err.Error())
	}
}

func (p *pool) heard(w *worker, m ipc.Message) {
	switch m := m.(type) {
	case ipc.Ready:
		p.ready(w, m)
	case ipc.Failed:
		w.failed = &m
	case ipc.Draining:
		w.draining = true
		p.release(w)
	case ipc.CanHandOver:
		w.heir = true
	case ipc.Alive:
		p.lives(w)
	case ipc.Recycle:
		p.tired(w, m)
	case ipc.Remaining:
		p.remains(w, m)
	case ipc.Shown:
		p.listed(w, m)
	default:
		p.kill(w, fmt.Sprintf("sent a %T", m))
	}
}

func (p *pool) ready(w *worker, m ipc.Ready) {
	s := w.slot
	switch {
	case w.killed: // a moment too late
		return
	case !w.readySince.IsZero() || w.leaving() || w != s.next && s.state != starting:
		p.kill(w, "was ready twice")
		return
	case m.Version != p.Version:
		w.failed = &ipc.Failed{ExitCode: exitcode.Config, Reason: fmt.Sprintf(
			"worker %s: is version %q, not the master's %q; build both with make, or name the right one with --worker PATH",
			w.binary, m.Version, p.Version)}
		p.kill(w, "wrong version")
		return
	}
	w.deadline = time.Time{}
	w.readySince, w.version = p.Now(), m.Version
	p.Log.Info().Int("slot", s.index).Int("pid", w.pid).
		Dur("after", w.readySince.Sub(w.started)).Msg("worker ready")
	switch {
	case w != s.next:
		p.move(s, hello)
		if p.phase == serving {
			p.grant(w)
		}
	case p.phase == serving:
		p.replace(s)
	}
	p.proved(w)
	p.release(w)
}

// release lets a worker that drains by itself, because somebody sent it a
// signal by hand, go on without its slot. The next process fills the slot at
// once and nothing is held against it: otherwise nobody would accept there
// for as long as the last download takes. A worker that drains before it was
// ready is only heard then, or one that is out of its mind could make the
// pool start processes without end.
func (p *pool) release(w *worker) {
	if !w.draining || w.killed || p.phase == stopping || w.finishing() || w.slot.state != ready {
		return
	}
	p.move(w.slot, leave)
	w.slot.worker = nil
	p.limit(w, false)
	p.leaving = append(p.leaving, w)
	if w.slot.next != nil {
		p.promote(w.slot)
	}
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Msg("worker draining")
}

// died settles an exit: the pool's end, a restart, or peace.
func (p *pool) died(w *worker, e Exit) {
	w.doing = p.settle(w, e)
	p.logExit(w, e)
	for _, giver := range p.leaving {
		if giver.taker == w {
			giver.taker = nil
		}
	}
	switch {
	case w == w.slot.next:
		p.stillborn(w, e)
		return
	case w.leaving():
		p.left(w, e)
		return
	}
	was := w.slot.state
	hopeless := p.phase == serving && p.fresh != nil && w.reload == p.reloads && w.readySince.IsZero()
	if hopeless {
		// It had taken the place of a worker that died, and new settings are wrong.
		p.renewals, p.fresh, p.failed = nil, nil, fmt.Sprintf("reload: %v died: %s", w, p.cause(w, e))
	}
	p.move(w.slot, exit)
	w.slot.worker = nil
	switch {
	case p.phase == stopping:
		p.diedInDrain(w, was, e)
	case p.phase == launching:
		p.fail(p.startError(w, e))
	case p.code(w, e) == exitcode.Config && !hopeless:
		p.quarantine(w, e, "")
	default:
		p.restart(w, was, e)
	}
	if p.phase == serving && w.slot.next != nil {
		if w.slot.state == exited {
			p.move(w.slot, wait)
			w.slot.want = true
		}
		p.promote(w.slot)
	}
}

// left settles the exit of a worker that had no slot any more: nobody has to
// take its place, but it may have cut what it was to finish.
func (p *pool) left(w *worker, e Exit) {
	p.leaving = slices.DeleteFunc(p.leaving, func(o *worker) bool { return o == w })
	if w.release != nil {
		p.released(w.release)
	}
	switch {
	case w.readySince.IsZero(): // it had no requests
	case p.phase == stopping:
		p.diedInDrain(w, draining, e)
	case !e.clean():
		p.Alert(p.cutShort(w, e))
	}
}

func (p *pool) cutShort(w *worker, e Exit) string {
	return fmt.Sprintf("%v died while draining: %s%s; its requests were cut", w, p.cause(w, e), w.doing)
}

func (p *pool) logExit(w *worker, e Exit) {
	l := p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).
		Str("cause", p.cause(w, e)).Dur("uptime", p.Now().Sub(w.started))
	if e.LastWords != "" {
		words := e.LastWords
		l = l.Str("last_words", words[max(0, len(words)-1024):])
	}
	l.Msg("worker exited")
}

// diedInDrain is peace, if the worker finished. One that had not begun may
// die of the SIGINT itself, before it could ask for the signal.
func (p *pool) diedInDrain(w *worker, was state, e Exit) {
	unborn := was == starting && w.signalled && e.Signal == syscall.SIGINT
	switch {
	case e.clean(), unborn, p.forced:
	case p.err != nil && p.cut > 0:
		p.cut++
	case p.err != nil:
	case was == starting: // it had no requests
		p.blame(p.startError(w, e))
	default:
		p.err = exitcode.New(exitcode.Failure, p.cutShort(w, e), e.Err)
		p.cut = 1
	}
}

// restart puts the slot into backoff, for no time at all the first time.
func (p *pool) restart(w *worker, was state, e Exit) {
	s := w.slot
	delay := s.delay(w, p.Now(), p.Chance())
	if len(s.recent) >= budget && p.others(s) {
		p.quarantine(w, e, fmt.Sprintf(", %d deaths within %v", len(s.recent), budgetWindow))
		return
	}
	s.retryAt = p.Now().Add(delay)
	p.move(s, wait)
	when := "restarting"
	if delay > 0 {
		when = fmt.Sprintf("restarting in %v", delay)
		p.Log.Info().Int("slot", s.index).Dur("delay", delay).Int("deaths", s.deaths).Msg("restart delayed")
	}
	// A worker that left by itself has lost nothing.
	if was == ready && e.clean() {
		return
	}
	p.Alert(fmt.Sprintf("%v died: %s%s; %s", w, p.cause(w, e), p.circumstances(w, e), when))
}

// quarantine leaves a slot empty that no restart can help.
func (p *pool) quarantine(w *worker, e Exit, why string) {
	s := w.slot
	s.want = false
	text := fmt.Sprintf("%v gave up: %s%s", w, p.cause(w, e), why)
	if p.others(s) {
		p.Log.Info().Int("slot", s.index).Msg("slot quarantined")
		p.Alert(text + "; its slot stays empty until SIGHUP")
		return
	}
	p.fail(exitcode.New(exitcode.Config, text+"; no worker is left", e.Err))
}

// others reports whether any other slot is wanted.
func (p *pool) others(s *slot) bool {
	return slices.ContainsFunc(p.slots, func(o *slot) bool { return o != s && o.want })
}

// code is the exit code of a worker, which it may have announced.
func (p *pool) code(w *worker, e Exit) int {
	if w.failed != nil {
		return w.failed.ExitCode
	}
	return e.Code
}

// cause is why a worker died, in the words that know best.
func (p *pool) cause(w *worker, e Exit) string {
	switch {
	case w.failed != nil && w.failed.Reason != "":
		return oneLine(w.failed.Reason)
	case w.killed && e.Signal == syscall.SIGKILL:
		return w.overdue + ", killed"
	default:
		return e.cause()
	}
}

// startError makes the master's error of a worker that did not come up. One
// that had to be killed before it was ready does not know its part.
func (p *pool) startError(w *worker, e Exit) *exitcode.Error {
	const cure = "build it with make, or name it with --worker PATH"
	switch {
	case w.failed != nil:
		return exitcode.New(exitCode(w.failed.ExitCode), w.failed.Reason, nil)
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.ENOEXEC):
		return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: %v; %s", w.binary, rootCause(e.Err), cure), e.Err)
	case w.killed && w.readySince.IsZero():
		return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: acts like no worker of Phalanx %s (%s); %s", w.binary, p.Version, p.cause(w, e), cure), nil)
	case e.Err != nil, e.crashed(), !w.readySince.IsZero():
		return exitcode.New(exitcode.Failure, fmt.Sprintf("%v died at its start: %s", w, p.cause(w, e)), e.Err)
	default:
		return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: is no worker of Phalanx %s (%s); %s", w.binary, p.Version, e.cause(), cure), nil)
	}
}

// rootCause drops the operations around an error of the system.
func rootCause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
