package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"phalanx/internal/ipc"
)

// This file is the life of one process: spawn, attend, its messages, its
// death.

func (p *pool) spawn(s *slot) {
	p.move(s, spawn)
	s.clear()
	s.pid = 0
	s.started = p.Now()
	proc, err := p.Spawn(s.index)
	if err != nil {
		p.died(s, Exit{Err: err})
		return
	}
	s.proc, s.pid = proc, proc.PID()
	s.deadline = s.started.Add(startTime)
	s.overdue = fmt.Sprintf("not ready within %v", startTime)
	p.Log.Info().Int("slot", s.index).Int("pid", s.pid).Msg("worker started")
	p.attend(s, proc)
}

// attend turns what a process does into events. Both goroutines end with the
// process: its exit is reported when its last message has been, and run
// takes events until every exit has come.
func (p *pool) attend(s *slot, proc Process) {
	heard := make(chan struct{})
	p.wg.Go(func() {
		defer close(heard)
		for {
			m, err := proc.Receive()
			if err != nil {
				p.events <- event{slot: s, gone: err}
				return
			}
			p.events <- event{slot: s, message: m}
		}
	})
	p.wg.Go(func() {
		e := proc.Wait()
		<-heard
		proc.Close()
		p.events <- event{slot: s, exit: &e}
	})
}

func (p *pool) handle(e event) {
	switch {
	case e.exit != nil:
		p.died(e.slot, *e.exit)
	case e.gone != nil:
		p.lost(e.slot, e.gone)
	default:
		p.heard(e.slot, e.message)
	}
}

// lost is told that a channel ended. A dying process closes it a moment
// before it can be waited for; one that drains may take all the time it
// needs; any other has nobody to take orders from.
func (p *pool) lost(s *slot, err error) {
	switch {
	case s.state == draining, s.killed:
	case errors.Is(err, io.EOF):
		s.deadline = p.Now().Add(goneTime)
		s.overdue = "closed its control channel"
	default:
		p.kill(s, err.Error())
	}
}

func (p *pool) heard(s *slot, m ipc.Message) {
	switch m := m.(type) {
	case ipc.Ready:
		p.ready(s, m)
	case ipc.Failed:
		s.failed = &m
	default:
		p.kill(s, fmt.Sprintf("sent a %T", m))
	}
}

func (p *pool) ready(s *slot, m ipc.Ready) {
	switch {
	case s.state != starting:
		p.kill(s, "was ready twice")
		return
	case m.Version != p.Version:
		s.failed = &ipc.Failed{ExitCode: configCode, Reason: fmt.Sprintf(
			"worker %s: is version %q, not the master's %q; build both with make", p.Worker, m.Version, p.Version)}
		p.kill(s, "wrong version")
		return
	}
	p.move(s, hello)
	s.deadline = time.Time{}
	s.readySince = p.Now()
	p.Log.Info().Int("slot", s.index).Int("pid", s.pid).
		Dur("after", s.readySince.Sub(s.started)).Msg("worker ready")
	if p.phase == serving {
		p.tell(s, ipc.Serve{})
	}
}

// died settles an exit: the pool's end, a restart, or peace.
func (p *pool) died(s *slot, e Exit) {
	was := s.state
	p.move(s, exit)
	s.proc = nil
	p.logExit(s, e)
	switch {
	case p.phase == stopping:
		p.diedInDrain(s, was, e)
	case p.phase == launching:
		p.fail(p.startError(s, e))
	case p.code(s, e) == configCode:
		p.quarantine(s, e)
	default:
		p.restart(s, was, e)
	}
	s.clear()
}

func (p *pool) logExit(s *slot, e Exit) {
	l := p.Log.Info().Int("slot", s.index).Int("pid", s.pid).
		Str("cause", p.cause(s, e)).Dur("uptime", p.Now().Sub(s.started))
	if e.LastWords != "" {
		words := e.LastWords
		l = l.Str("last_words", words[max(0, len(words)-1024):])
	}
	l.Msg("worker exited")
}

// diedInDrain is peace, if the worker finished. One that had not begun may
// die of the SIGINT itself, before it could ask for the signal.
func (p *pool) diedInDrain(s *slot, was state, e Exit) {
	clean := e.Err == nil && e.Signal == 0 && e.Code == 0
	unborn := was == starting && s.signalled && e.Signal == syscall.SIGINT
	switch {
	case clean, unborn, p.forced:
	case p.err == nil:
		p.err = &Error{1, fmt.Sprintf("%v died while draining: %s; its requests were cut", s, p.cause(s, e)), e.Err}
		p.cut = 1
	case p.cut > 0:
		p.cut++
	}
}

// restart puts the slot into backoff, for no time at all the first time.
func (p *pool) restart(s *slot, was state, e Exit) {
	delay := s.delay(p.Now())
	s.retryAt = p.Now().Add(delay)
	p.move(s, wait)
	when := "restarting"
	if delay > 0 {
		when = fmt.Sprintf("restarting in %v", delay)
		p.Log.Info().Int("slot", s.index).Dur("delay", delay).Int("deaths", s.deaths).Msg("restart delayed")
	}
	// A worker that left by itself, after a SIGINT by hand, did as told.
	if was == ready && e.Err == nil && e.Signal == 0 && e.Code == 0 {
		return
	}
	p.Alert(fmt.Sprintf("%v died: %s; %s", s, p.cause(s, e), when))
}

// quarantine leaves a slot empty that no restart can help.
func (p *pool) quarantine(s *slot, e Exit) {
	s.want = false
	text := fmt.Sprintf("%v gave up: %s", s, p.cause(s, e))
	for _, other := range p.slots {
		if other.want {
			p.Log.Info().Int("slot", s.index).Msg("slot quarantined")
			p.Alert(text + "; its slot stays empty until the next start")
			return
		}
	}
	p.fail(&Error{configCode, text + "; no worker is left", e.Err})
}

// code is the exit code of a worker, which it may have announced.
func (p *pool) code(s *slot, e Exit) int {
	if s.failed != nil {
		return s.failed.ExitCode
	}
	return e.Code
}

// cause is why a worker died, in the words that know best.
func (p *pool) cause(s *slot, e Exit) string {
	switch {
	case s.failed != nil && s.failed.Reason != "":
		return oneLine(s.failed.Reason)
	case s.killed && e.Signal == syscall.SIGKILL:
		return s.overdue + ", killed"
	default:
		return e.cause()
	}
}

// startError makes the master's error of a worker that did not come up.
func (p *pool) startError(s *slot, e Exit) *Error {
	const cure = "build it with make, or name it with --worker PATH"
	switch {
	case s.failed != nil:
		return &Error{exitCode(s.failed.ExitCode), s.failed.Reason, nil}
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.ENOEXEC):
		return &Error{configCode, fmt.Sprintf("worker %s: %v; %s", p.Worker, rootCause(e.Err), cure), e.Err}
	case e.Err != nil, e.crashed(), s.state == exited && !s.readySince.IsZero():
		return &Error{1, fmt.Sprintf("%v died at its start: %s", s, p.cause(s, e)), e.Err}
	default:
		return &Error{configCode, fmt.Sprintf("worker %s: is no worker of Phalanx %s (%s); %s", p.Worker, p.Version, e.cause(), cure), nil}
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

func (s *slot) String() string {
	if s.pid == 0 {
		return fmt.Sprintf("worker %d", s.index)
	}
	return fmt.Sprintf("worker %d (pid %d)", s.index, s.pid)
}
