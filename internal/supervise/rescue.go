package supervise

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
)

// This file moves the connections of a dead worker to the next worker in its slot
// (docs/rescue.md).

// Kept keeps the connections of one worker for its successor. Only the pool's
// goroutine calls its methods, except for Wait, Transfer, Discard and Close.
type Kept interface {
	// Greeted returns the process that has greeted the master as the keeper.
	Greeted() (pid int, err error)
	// Use makes a process the keeper.
	Use(pid int) error
	// Wait waits until the keeper has exited.
	Wait()
	// Discard waits for the end of the keeper of a worker that was not ready, and closes all.
	Discard(worker int)
	// Transfer sends the connections on a rescue channel; it may wait. left is the number of
	// connections that cannot be rescued.
	Transfer(channel int, moving rescue.Moving) (left int, err error)
	Readable() bool // false: the records have the layout of another version
	// Lifeline returns the keeper's lifeline; nil if there is none.
	Lifeline() *rescue.Lifeline
	EndKeeper() // does not wait
	Close()     // may wait
}

// rescueTime limits how long a worker may take over a dead one's connections.
const rescueTime = 20 * time.Second

// unkeptTime is the time between two attempts to replace a worker without a keeper.
const unkeptTime = 30 * time.Second

// meetKeeper learns the pid of the keeper of a worker that is ready. It returns false if the
// worker must have a keeper and has none.
func (p *pool) meetKeeper(w *worker) bool {
	kept := w.proc.Kept()
	if kept == nil {
		return true
	}
	pid, err := kept.Greeted()
	if err == nil && p.ours(pid) {
		err = fmt.Errorf("process %d is a worker, or the keeper of another", pid)
	}
	if err == nil {
		err = kept.Use(pid)
	}
	if err != nil {
		p.killInvalid(w, fmt.Sprintf("is ready without a keeper: %v", err))
		return false
	}
	p.attendKeeper(w, pid)
	return true
}

// ours reports whether a process is a worker of the pool, or the keeper of one.
func (p *pool) ours(pid int) bool {
	return p.keepers[pid] != nil || slices.ContainsFunc(p.workers(), func(w *worker) bool { return w.pid == pid })
}

// attendKeeper calls keeperDied when a keeper has exited.
func (p *pool) attendKeeper(w *worker, pid int) {
	w.keeper, p.keepers[pid] = pid, w
	kept := w.proc.Kept()
	p.wg.Go(func() {
		kept.Wait()
		p.calls <- func() {
			p.keeperDied(w, pid)
			p.reapBehind()
		}
	})
}

// keeperDied replaces the worker if it is alive, because it cannot start another keeper in its
// sandbox. If a rescue has waited for the keeper's exit, keeperDied completes it.
func (p *pool) keeperDied(w *worker, pid int) {
	delete(p.keepers, pid)
	if w.keeper != pid {
		return
	}
	w.keeper = 0
	if !w.exited {
		p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Int("keeper", pid).Msg("keeper exited")
		p.replaceUnkept(w)
		return
	}
	p.goOnWith(w)
}

// replaceUnkept replaces a worker whose keeper has exited, again after a while if it is still there:
// the replacement may die, or a reload that fails may cancel it.
func (p *pool) replaceUnkept(w *worker) {
	w.unkeptUntil = p.Now().Add(unkeptTime)
	p.recycle(w, "its keeper has exited")
}

// goOnWith continues the rescue of a dead worker's connections, if it has waited for what has
// just ended.
func (p *pool) goOnWith(of *worker) {
	for _, by := range p.workers() {
		if o := by.rescuing; o != nil && o.of == of && o.done() {
			p.rescueDone(by)
			return
		}
	}
}

// rescue makes a worker that is ready take over the connections of a dead worker in its slot,
// before it serves. It reports whether there are any.
func (p *pool) rescue(w *worker) bool {
	o := p.orphansFor(w.slot)
	if !p.canRescue() || o == nil || w.signalled { // such a worker may exit without having served
		return false
	}
	if w.proc.Kept() == nil { // new settings disable rescue, so no later worker can either
		p.giveUp(o, "rescue is off now")
		return p.rescue(w)
	}
	w.rescuing, o.err = o, nil
	w.deadline = p.Now().Add(rescueTime)
	w.killReason = fmt.Sprintf("did not take over the connections of %v within %v", o.of, rescueTime)
	from, to, err := ipc.RescueChannel()
	if err == nil {
		defer unix.Close(to)
		if err = w.proc.SendFile(ipc.Rescue{Blame: o.blame}, to); err != nil {
			unix.Close(from)
		}
	}
	if err != nil {
		// If the worker is alive and reads, the master is out of descriptors.
		w.blameless = !errors.Is(err, unix.EPIPE) && !errors.Is(err, ipc.ErrFull)
		p.kill(w, "take over connections: "+err.Error())
		return true
	}
	p.transfers++
	o.transfers++
	moving := p.moving(o.of)
	p.wg.Go(func() {
		left, err := o.of.proc.Kept().Transfer(from, moving)
		ipc.Empty(from)
		unix.Close(from)
		moving.Close()
		p.calls <- func() { p.transferred(o, w, left, err) }
	})
	return true
}

// transferred ends a transfer to a worker. If it failed halfway, the worker is killed before it
// serves, and the next one gets all connections: nothing is lost while the keeper lives.
func (p *pool) transferred(o *orphaned, to *worker, left int, err error) {
	p.transfers--
	o.transfers--
	if o.forgotten && o.transfers == 0 {
		p.closeKept(o.of)
	}
	if to.rescuing == o { // otherwise another transfer counts them
		o.left = left
	}
	switch {
	case err == nil || to.rescuing != o || to.killed:
	case errors.Is(err, rescue.ErrKeeperGone):
		o.err = err
	case errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET): // the worker is dead, or reports what has failed
	default:
		to.blameless = true
		p.kill(to, fmt.Sprintf("did not receive the connections of %v: %v", o.of, err))
	}
	for _, w := range p.workers() {
		if w.rescuing == o {
			p.takenOver(w)
			return
		}
	}
}

// rescued notes that a worker has taken over all connections that it was sent.
func (p *pool) rescued(w *worker, m ipc.Rescued) {
	o := w.rescuing
	switch {
	case w.killed: // too late: the next worker takes them over
		return
	case o == nil || o.result != nil:
		p.killInvalid(w, "reported a rescue that was not requested")
		return
	}
	o.result = &m
	p.takenOver(w)
}

// takenOver ends the old keeper when a worker has taken over all connections. The keeper must
// have exited before the worker may serve: while another process has a socket open, close()
// sends no FIN.
func (p *pool) takenOver(w *worker) {
	o := w.rescuing
	if o.result == nil || o.transfers > 0 || w.killed {
		return
	}
	o.taken, w.served = true, true
	o.of.proc.Kept().EndKeeper()
	p.goOnWith(o.of)
}

// rescueDone lets a worker serve after a rescue. If the slot has another dead worker, the next
// worker rescues its connections: if one worker did both and died during the second rescue, some
// connections would be taken over twice.
func (p *pool) rescueDone(w *worker) {
	if w.killed {
		return // the connections are its own now; the rescue continues after its death
	}
	o := w.rescuing
	w.rescuing = nil
	w.deadline = time.Time{}
	p.endRescue(w, o)
	p.enter(w)
}

// endRescue reports a completed rescue.
func (p *pool) endRescue(w *worker, o *orphaned) {
	w.rescued = o
	p.countRescue(o)
	p.tellRescue(w, o)
	p.forget(o)
}
