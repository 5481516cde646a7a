package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

// This file is the life of one process until its death: spawn, attend, its
// messages.

func (p *pool) spawn(s *slot) {
	p.move(s, spawn)
	s.worker = &worker{slot: s, started: p.Now()}
	p.launch(s.worker, p.settings())
}

// settings returns those with which a worker has come up.
func (p *pool) settings() Settings {
	return Settings{Spawn: p.Spawn, Worker: p.Worker, Slots: p.Slots, Shares: p.Shares}
}

// launch starts the process of a worker.
func (p *pool) launch(w *worker, s Settings) {
	w.binary = s.Worker
	w.row = p.assignRow(w)
	proc, err := s.Spawn(w.slot.index, w.row)
	if err != nil {
		p.died(w, Exit{Err: err})
		return
	}
	w.proc, w.pid = proc, proc.PID()
	w.deadline = w.started.Add(startTime)
	w.killReason = fmt.Sprintf("not ready within %v", startTime)
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Msg("worker started")
	p.sendCredentials(w) // it needs them to become ready
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
		p.events <- event{worker: w, exit: &e}
	})
}

func (p *pool) handle(e event) {
	switch {
	case e.do != nil:
		e.do()
	case e.exit != nil:
		e.worker.proc.Close()
		p.died(e.worker, *e.exit)
		if p.Orphans != nil {
			p.reap() // its end may have hidden others
		}
	case e.gone != nil:
		p.channelClosed(e.worker, e.gone)
	default:
		p.receive(e.worker, e.message)
	}
}

// channelClosed handles the end of a control channel. A dying process closes it a
// moment before it can be waited for, and one that drains may take all the time it
// needs. Any other worker can no longer be controlled.
func (p *pool) channelClosed(w *worker, err error) {
	switch {
	case w.killed, errors.Is(err, os.ErrDeadlineExceeded): // set when it had exited
	case w.draining():
		w.deadline = time.Time{} // it can send no more heartbeats
	case errors.Is(err, io.EOF):
		w.deadline = p.Now().Add(closedTime)
		w.killReason = "closed its control channel"
	default:
		p.convict(w, err.Error())
	}
}

// convict kills a worker for what it said. The request that it was serving may have made
// it do so, and would again.
func (p *pool) convict(w *worker, why string) {
	w.guilty = true
	p.kill(w, why)
}

func (p *pool) receive(w *worker, m ipc.Message) {
	switch m := m.(type) {
	case ipc.Ready:
		p.ready(w, m)
	case ipc.Failed:
		w.failed = &m
	case ipc.QueueLeft:
		w.queueLeft = true
	case ipc.Draining:
		w.saidDrain = true
		p.detach(w)
	case ipc.Rescued:
		p.rescued(w, m)
	case ipc.Confined:
		p.confined(w, m)
	case ipc.CanHandOver:
		w.movable = true
	case ipc.Alive:
		p.heartbeat(w)
	case ipc.Recycle:
		p.recycle(w, m.Reason)
	case ipc.Remaining:
		p.noteProgress(w, m)
	case ipc.CredentialsRefused:
		p.credentialsRefused(w, m)
	case ipc.Shown:
		p.listed(w, m)
	case ipc.QueuesEmpty:
		w.queueEmpty = true
	case ipc.CredentialsUsed:
		w.credentials = m.ID // confirmCredentials takes no more than what was sent
	default:
		p.convict(w, fmt.Sprintf("sent a %T", m))
	}
}

func (p *pool) ready(w *worker, m ipc.Ready) {
	s := w.slot
	switch {
	case w.killed: // a moment too late
		return
	case !w.readySince.IsZero() || w.detached() || w != s.next && s.state != starting:
		p.convict(w, "reported ready twice")
		return
	case m.Version != p.Version:
		w.failed = &ipc.Failed{ExitCode: exitcode.Config, Reason: fmt.Sprintf(
			"worker %s: is version %q, not the master's %q; build both with make, or name the right one with --worker PATH",
			w.binary, m.Version, p.Version)}
		p.kill(w, "wrong version")
		return
	case !p.meetKeeper(w):
		return
	}
	w.deadline, w.spared = time.Time{}, false
	w.readySince, w.version = p.Now(), m.Version
	p.Log.Info().Int("slot", s.index).Int("pid", w.pid).
		Int64("after_ms", w.readySince.Sub(w.started).Milliseconds()).Msg("worker ready")
	if w.signalled { // it has ignored that, if this was started with SIGINT ignored
		p.signalWorker(w, syscall.SIGINT)
	}
	if !p.rescue(w) {
		p.enter(w)
	}
}

// enter gives a worker that is ready its slot.
func (p *pool) enter(w *worker) {
	s := w.slot
	switch {
	case p.phase == stopping:
		p.enterDrain(w)
		return
	case w != s.next:
		p.move(s, report)
		if p.phase == serving {
			p.startServing(w)
		}
	default:
		p.replace(s)
	}
	p.applySettings(w)
	if p.isClosing(s) && s.state == ready {
		p.drainSlot(s)
	}
	p.detach(w)
}

// detach takes its slot from a worker that drains because it was sent a signal
// directly. The next process fills the slot at once and no death is counted:
// otherwise no worker would accept there until the last download has ended. A worker
// that drains before it is ready is detached only then, or a misbehaving one could
// make the pool start processes without end.
func (p *pool) detach(w *worker) {
	if !w.saidDrain || w.killed || w.slot.worker != w {
		return
	}
	if p.phase == stopping || w.slot.state != ready {
		p.leaveQueue(w)
		return
	}
	p.move(w.slot, detach)
	w.slot.worker = nil
	p.limitDrain(w, false)
	p.detached = append(p.detached, w)
	if w.slot.next != nil {
		p.promote(w.slot)
	}
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Msg("worker draining")
}

// limitDrain bounds how long a worker may drain, from now on. The last owner of a
// listening socket always gets enough time for connections on their way to it.
func (p *pool) limitDrain(w *worker, lastOwner bool) {
	limit := p.DrainTimeout
	if lastOwner {
		limit = max(limit, acceptTime)
	}
	if p.DrainTimeout > 0 && w.drainBy.IsZero() && !w.killed {
		w.drainBy = p.Now().Add(limit)
		if !p.stopBy.IsZero() && p.stopBy.Before(w.drainBy) {
			w.drainBy = p.stopBy
		}
	}
}

// startServing lets a worker take requests. From then on it has to send heartbeats.
func (p *pool) startServing(w *worker) {
	w.served = true
	p.share(w)
	p.send(w, ipc.Serve{})
	p.heartbeat(w)
}

// drainTimedOut is the start of the reason why a worker that drains too long is killed.
const drainTimedOut = "drain timed out"

// hung is the start of the reason why a worker without heartbeats is killed.
const hung = "hung"

// heartbeat notes that a worker is alive.
func (p *pool) heartbeat(w *worker) {
	if p.HangTimeout > 0 && !w.readySince.IsZero() && !w.killed {
		w.deadline, w.spared = p.Now().Add(p.HangTimeout), false
		w.killReason = fmt.Sprintf("%s: no heartbeat for %v", hung, p.HangTimeout)
	}
}
