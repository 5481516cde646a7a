package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

// This file handles the life of one process until its death: start and messages.

func (p *pool) spawn(s *slot) {
	p.move(s, spawn)
	s.worker = &worker{slot: s, started: p.Now()}
	settings, tries := p.Settings, p.triesCandidate(s)
	if tries {
		settings, s.worker.reload = *p.candidate, p.reloads
	}
	if p.candidate != nil && !tries {
		p.queueReplacement(s) // the reload began without this worker
	} else {
		p.toReplace = slices.DeleteFunc(p.toReplace, func(o *slot) bool { return o == s })
	}
	p.launch(s.worker, settings)
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
	p.sendCredentials(w) // it needs credentials to become ready
	p.attend(w)
}

// attend makes the loop handle what a process does. Its two goroutines end with the process:
// the exit comes after the last message, and run continues until every process has exited.
func (p *pool) attend(w *worker) {
	heard := make(chan struct{})
	p.wg.Go(func() {
		defer close(heard)
		for {
			m, err := w.proc.Receive()
			if err != nil {
				p.calls <- func() { p.channelClosed(w, err) }
				return
			}
			p.calls <- func() { p.receive(w, m) }
		}
	})
	p.wg.Go(func() {
		e := w.proc.Wait()
		<-heard
		p.calls <- func() {
			w.proc.Close()
			p.died(w, e)
			p.reapBehind()
		}
	})
}

// channelClosed handles the end of a control channel. A dying process closes its channel a
// moment before it can be waited for. A draining worker is not hurried. Any other worker can no
// longer be controlled.
func (p *pool) channelClosed(w *worker, err error) {
	switch {
	case w.killed, errors.Is(err, os.ErrDeadlineExceeded): // set when it had exited
	case w.draining():
		w.deadline = time.Time{} // it can send no more heartbeats
	case errors.Is(err, io.EOF):
		w.deadline = p.Now().Add(closedTime)
		w.killReason = "closed its control channel"
	default:
		p.killInvalid(w, err.Error())
	}
}

// killInvalid kills a worker because of an invalid message. The request that it was serving may be
// the cause, and would be again.
func (p *pool) killInvalid(w *worker, why string) {
	w.invalid = true
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
		p.killInvalid(w, fmt.Sprintf("sent a %T", m))
	}
}

func (p *pool) ready(w *worker, m ipc.Ready) {
	s := w.slot
	switch {
	case w.killed: // the message came too late
		return
	case !w.readySince.IsZero() || w.detached() || w != s.next && s.state != starting:
		p.killInvalid(w, "reported ready twice")
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
	w.readySince, w.version, s.unready = p.Now(), m.Version, false
	p.Log.Info().Int("slot", s.index).Int("pid", w.pid).
		Int64("after_ms", w.readySince.Sub(w.started).Milliseconds()).Msg("worker ready")
	if w.signalled { // it has ignored the signal, if the master was started with SIGINT ignored
		p.signalWorker(w, syscall.SIGINT)
	}
	if !p.rescue(w) {
		p.enter(w)
	}
}

// enter gives its slot to a worker that is ready.
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

// detach takes the slot from a worker that drains because it was sent a signal directly. The
// slot gets another process at once, and no death is counted: otherwise no worker would accept
// there until the last download has ended. A worker that drains before it is ready is detached
// only once it is ready: otherwise a faulty one could make the pool start processes without
// end.
func (p *pool) detach(w *worker) {
	if !w.saidDrain || w.killed || w.slot.worker != w {
		return
	}
	if p.phase == stopping || w.slot.state != ready {
		p.leaveQueue(w)
		return
	}
	p.free(w.slot)
	if w.slot.next != nil {
		p.promote(w.slot)
	}
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Msg("worker draining")
}

// free detaches a slot's worker, which drains on: the slot may have another process.
func (p *pool) free(s *slot) {
	p.move(s, detach)
	p.limitDrain(s.worker, false)
	p.detached = append(p.detached, s.worker)
	s.worker = nil
}

// limitDrain limits how long a worker may drain from now on. The last owner of a listening
// socket always gets enough time for connections that are on their way.
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

// startServing lets a worker serve. From then on it must send heartbeats.
func (p *pool) startServing(w *worker) {
	w.served = true
	p.share(w)
	p.send(w, ipc.Serve{})
	p.heartbeat(w)
}

// drainTimedOut begins the reason for killing a worker that drains too long.
const drainTimedOut = "drain timed out"

// hung begins the reason for killing a worker without heartbeats.
const hung = "hung"

// heartbeat notes that a worker is alive.
func (p *pool) heartbeat(w *worker) {
	if p.HangTimeout > 0 && !w.readySince.IsZero() && !w.killed {
		w.deadline, w.spared = p.Now().Add(p.HangTimeout), false
		w.killReason = fmt.Sprintf("%s: no heartbeat for %v", hung, p.HangTimeout)
	}
}
