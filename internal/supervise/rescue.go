package supervise

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
)

// This file moves the connections of a worker that died to the next one in its slot
// (docs/rescue.md).

// Kept keeps the connections of one worker for its successor. Only the pool's
// goroutine calls its methods, except for Transfer.
type Kept interface {
	// Use makes a process that the worker named its keeper.
	Use(pid int) error
	// WaitFor waits until a keeper has exited.
	WaitFor(pid int)
	// Named returns the keepers that a dead worker has recorded but not sent.
	Named() []int
	// Transfer sends the connections on a rescue channel; it may wait.
	Transfer(channel int, moving rescue.Moving) (connections int, err error)
	// Keeper returns a copy of the keeper's pidfd, -1 if there is none.
	Keeper() int
	EndKeeper() // does not wait
	Close()
}

// rescueTime limits how long a worker may take over a dead one's connections.
const rescueTime = 20 * time.Second

// orphaned are the connections that a dead worker has left.
type orphaned struct {
	of        *worker
	slot      *slot // whose next worker takes them over
	blame     ipc.Blame
	attempts  int
	died      time.Time
	transfers int          // under way
	forgotten bool         // nobody has to take them over any more
	err       error        // of the last transfer
	result    *ipc.Rescued // report of the worker that took them over; nil: not yet
}

// keeperNamed checks the process that a worker has named as its keeper.
func (p *pool) keeperNamed(w *worker, m ipc.Keeper) {
	err := errors.New("connections are not rescued")
	switch {
	case w.keeper != 0:
		err = errors.New("it has a keeper")
	case w.proc.Kept() != nil:
		err = errors.New("it is a worker or a keeper")
		if !p.isWorker(m.PID) && p.keepers[m.PID] == nil {
			err = w.proc.Kept().Use(m.PID)
		}
	}
	if err != nil {
		p.kill(w, fmt.Sprintf("named process %d as its keeper: %v", m.PID, err))
		return
	}
	w.keeper = m.PID
	p.attendKeeper(w, m.PID)
}

func (p *pool) isWorker(pid int) bool {
	return slices.ContainsFunc(p.workers(), func(w *worker) bool { return w.pid == pid })
}

// attendKeeper calls keeperDied when a keeper has exited.
func (p *pool) attendKeeper(w *worker, pid int) {
	p.keepers[pid] = w
	kept := w.proc.Kept()
	p.wg.Go(func() {
		kept.WaitFor(pid)
		p.events <- event{do: func() { p.keeperDied(w, pid) }}
	})
}

// keeperDied makes a living worker start another keeper, and completes the rescue that
// has waited for the keeper's exit.
func (p *pool) keeperDied(w *worker, pid int) {
	delete(p.keepers, pid)
	if w.keeper != pid {
		return
	}
	w.keeper = 0
	if !w.exited {
		p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Int("keeper", pid).Msg("keeper exited")
		p.send(w, ipc.Keep{})
		return
	}
	p.goOnWith(w)
}

// goOnWith goes on with the rescue of a dead worker's connections, if one waits
// for what has just ended.
func (p *pool) goOnWith(of *worker) {
	for _, by := range p.workers() {
		if o := by.rescuing; o != nil && o.of == of && o.done() {
			p.rescueDone(by)
			return
		}
	}
}

// done reports whether all has been taken over, and nobody else has it open.
func (o *orphaned) done() bool { return o.result != nil && o.transfers == 0 && o.of.keeper == 0 }

// orphan keeps the connections of a worker that has died for the next one, if it left
// any.
func (p *pool) orphan(w *worker, e Exit) {
	w.exited = true
	if w.proc == nil || w.proc.Kept() == nil {
		return
	}
	if o := w.rescuing; o != nil {
		w.rescuing = nil
		if o.result != nil {
			p.forget(o) // w had taken them all over
		} else {
			o.attempts++
		}
	}
	if w.keeper == 0 {
		p.findKeeper(w)
	}
	if !w.served || e.clean() || p.phase != serving || w.keeper == 0 {
		w.proc.Kept().Close()
		return
	}
	p.orphans = append(p.orphans, &orphaned{of: w, slot: w.slot, blame: blameFor(w, e), died: p.Now()})
}

// findKeeper finds the keeper of a worker that died before it could name it.
func (p *pool) findKeeper(w *worker) {
	for _, pid := range w.proc.Kept().Named() {
		if !p.isWorker(pid) && p.keepers[pid] == nil && w.proc.Kept().Use(pid) == nil {
			w.keeper = pid
			p.attendKeeper(w, pid)
			return
		}
	}
}

// blameFor says what a worker's death means for its connections. No request is to
// blame if it was killed from outside; a crash or a hang may occur again on the same
// request; and if its memory was damaged, its records may be wrong.
func blameFor(w *worker, e Exit) ipc.Blame {
	switch {
	case w.killed && strings.HasPrefix(w.killReason, hung):
		return ipc.BlameCurrent
	case e.Signal == syscall.SIGKILL, e.Signal == syscall.SIGTERM, e.Signal == syscall.SIGINT, e.Signal == syscall.SIGQUIT, e.Signal == syscall.SIGHUP:
		return ipc.BlameNobody
	case strings.HasPrefix(e.summary(), "SIGQUIT: "):
		return ipc.BlameNobody
	case e.Signal != 0, isCrash(e.summary()) && !strings.HasPrefix(e.summary(), "panic: "):
		return ipc.BlameBusy
	}
	return ipc.BlameCurrent
}

// placeOrphans makes sure that a worker will take over the connections of dead ones:
// the next one in their slot, or else in another.
func (p *pool) placeOrphans() {
	for _, o := range slices.Clone(p.orphans) {
		if !o.slot.want || o.slot.state == draining || !slices.Contains(p.all(), o.slot) {
			o.slot = p.wantedSlot()
		}
		if p.phase == stopping || o.attempts >= rescueRetries || o.slot == nil {
			p.giveUp(o)
			continue
		}
		s := o.slot
		if s.state == ready && s.next == nil && s.worker.rescuing == nil && !slices.Contains(p.toReplace, s) {
			p.toReplace = append(p.toReplace, s) // the replacement takes them over first
		}
	}
}

// wantedSlot returns a slot that will have a worker, nil if there is none.
func (p *pool) wantedSlot() *slot {
	for _, s := range p.slots {
		if s.want {
			return s
		}
	}
	return nil
}

// giveUp closes the connections that a dead worker has left.
func (p *pool) giveUp(o *orphaned) {
	p.forget(o)
	if p.phase != stopping {
		p.rescues.GivenUp++
		p.Alert(fmt.Sprintf("connections of %v closed: %d workers failed to take them over", o.of, o.attempts))
	}
}

// forget closes connections that need no rescue any more, or cannot be rescued. What a
// transfer reads is closed when that has ended.
func (p *pool) forget(o *orphaned) {
	o.of.proc.Kept().EndKeeper()
	if o.forgotten = true; o.transfers == 0 {
		o.of.proc.Kept().Close()
	}
	p.orphans = slices.DeleteFunc(p.orphans, func(other *orphaned) bool { return other == o })
}

// isOrphaned reports whether the connections of a dead worker are kept for another.
func (p *pool) isOrphaned(w *worker) bool {
	return slices.ContainsFunc(p.orphans, func(o *orphaned) bool { return o.of == w })
}

// lostAll reports whether the connections of a worker that has died are lost because
// its keeper is gone.
func (p *pool) lostAll(w *worker, e Exit) bool {
	return w.served && !e.clean() && p.phase == serving && w.proc.Kept() != nil && !p.isOrphaned(w)
}

// orphansFor returns the connections that the next worker in a slot takes over first;
// nil if there are none.
func (p *pool) orphansFor(s *slot) *orphaned {
	for _, o := range p.orphans {
		if o.slot == s {
			return o
		}
	}
	return nil
}

// rescue makes a worker that is ready take over the connections of a dead one in its
// slot, before it serves. It reports whether there are any.
func (p *pool) rescue(w *worker) bool {
	o := p.orphansFor(w.slot)
	if p.phase != serving || o == nil {
		return false
	}
	if w.proc.Kept() == nil { // new settings are without: nor will another
		p.giveUp(o)
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
		p.kill(w, "take over connections: "+err.Error())
		return true
	}
	p.transfers++
	o.transfers++
	moving := p.moving(o.of)
	p.wg.Go(func() {
		_, err := o.of.proc.Kept().Transfer(from, moving)
		unix.Close(from)
		moving.Close()
		p.events <- event{do: func() { p.transferred(o, err) }}
	})
	return true
}

func (p *pool) transferred(o *orphaned, err error) {
	p.transfers--
	o.transfers--
	p.unlockChannels(o.of)
	if err != nil {
		o.err = err
		p.Log.Info().Int("slot", o.of.slot.index).Int("pid", o.of.pid).Err(err).Msg("connections not transferred")
	}
	if o.forgotten && o.transfers == 0 {
		o.of.proc.Kept().Close()
	}
	p.goOnWith(o.of)
}

// rescued ends the old keeper when a worker has taken over its connections. The keeper
// has to be gone before the worker may serve: as long as another process has a socket
// open, close() sends no FIN.
func (p *pool) rescued(w *worker, m ipc.Rescued) {
	o := w.rescuing
	switch {
	case w.killed: // a moment too late: the next worker takes them over
		return
	case o == nil || o.result != nil:
		p.kill(w, "reported a rescue that was not requested")
		return
	}
	o.result, w.served = &m, true
	o.of.proc.Kept().EndKeeper()
	p.goOnWith(o.of)
}

// rescueDone lets a worker serve after a rescue. If the slot has another dead worker,
// the next worker rescues its connections: if one worker did both and died during the
// second rescue, some connections would be taken over twice.
func (p *pool) rescueDone(w *worker) {
	if w.killed {
		return // what it has taken over is its own, and goes on when it is dead
	}
	o := w.rescuing
	w.rescuing = nil
	w.deadline = time.Time{}
	p.forget(o)
	p.countRescue(o)
	if line := rescueLine(w, o, p.Now()); line != "" {
		p.Alert(line)
	}
	p.enter(w)
}

func (p *pool) countRescue(o *orphaned) {
	r, m := &p.rescues, o.result
	r.Workers++
	r.Connections += uint64(m.Connections)
	r.Bytes += m.Bytes
	r.Unmovable += uint64(m.Fixed)
	r.Blamed += uint64(m.Blamed)
	r.Reset += uint64(m.Reset)
	r.Lost += uint64(m.Lost)
	r.Last = p.Now().Sub(o.died).Seconds()
	r.Seconds += r.Last
}

// rescueLine is the log line of a rescue, empty if there were no connections.
func rescueLine(w *worker, o *orphaned, now time.Time) string {
	m := o.result
	if m.Connections+m.Fixed+m.Blamed+m.Lost == 0 && o.err == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v rescued %s of %v after %v", w, human.Plural(m.Connections, "connection", "connections"), o.of, now.Sub(o.died).Round(time.Millisecond))
	for _, closed := range []struct {
		n   int
		why string
	}{
		{m.Fixed, "whose response cannot be continued"},
		{m.Blamed, "whose request may have killed it"},
		{m.Lost, "with inconsistent records"},
	} {
		if closed.n > 0 {
			fmt.Fprintf(&b, "; %d closed %s", closed.n, closed.why)
		}
	}
	if o.err != nil {
		fmt.Fprintf(&b, "; the others are lost: %v", o.err)
	}
	return b.String()
}
