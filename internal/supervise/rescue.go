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

// This file is how the connections of a worker that dies go on in the next one
// of its slot (docs/rescue.md).

// Kept is what keeps the connections of one worker when it dies. Only the pool's
// goroutine calls its methods, but for Transfer.
type Kept interface {
	// Use makes a process, which the worker named, its keeper.
	Use(pid int) error
	// WaitFor waits until a keeper has ended.
	WaitFor(pid int)
	// Named are the keepers that a dead worker had no time to name.
	Named() []int
	// Transfer sends the connections on a rescue channel; it may wait.
	Transfer(channel int, moving rescue.Moving) (connections int, err error)
	// Keeper is a copy of the keeper's pidfd, -1 if there is none.
	Keeper() int
	EndKeeper() // does not wait
	Close()
}

// rescueTime is what a worker takes at most to take over a dead one's connections.
const rescueTime = 20 * time.Second

// orphaned are the connections that a dead worker has left.
type orphaned struct {
	of       *worker
	slot     *slot // whose next worker takes them over
	blame    ipc.Blame
	attempts int
	died     time.Time
	err      error        // of the transfer
	result   *ipc.Rescued // what the worker that took them over has said; nil: it has not
}

// keeperNamed is told which process keeps a worker's descriptors.
func (p *pool) keeperNamed(w *worker, m ipc.Keeper) {
	err := errors.New("it has nothing that could be kept")
	if w.proc.Kept() != nil {
		err = errors.New("that process is a worker")
		if !p.isWorker(m.PID) && !p.keepers[m.PID] {
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

// attendKeeper has the pool told when a keeper has ended.
func (p *pool) attendKeeper(w *worker, pid int) {
	p.keepers[pid] = true
	kept := w.proc.Kept()
	p.wg.Go(func() {
		kept.WaitFor(pid)
		p.events <- event{do: func() { p.keeperDied(w, pid) }}
	})
}

// keeperDied has a worker that lives make another, and goes on with the rescue
// that has waited for it.
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
	for _, by := range p.workers() {
		if by.rescuing != nil && by.rescuing.of == w && by.rescuing.result != nil {
			p.rescueDone(by)
			return
		}
	}
}

// orphan is told that a worker has died, and keeps its connections for the next
// one if it left any behind.
func (p *pool) orphan(w *worker, e Exit) {
	w.exited = true
	if w.proc == nil || w.proc.Kept() == nil {
		return
	}
	if o := w.rescuing; o != nil {
		w.rescuing = nil
		if o.result != nil {
			p.forget(o) // w had them all
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

// findKeeper looks for the keeper of a worker that died before it named one.
func (p *pool) findKeeper(w *worker) {
	for _, pid := range w.proc.Kept().Named() {
		if !p.isWorker(pid) && !p.keepers[pid] && w.proc.Kept().Use(pid) == nil {
			w.keeper = pid
			p.attendKeeper(w, pid)
		}
	}
}

// blameFor says what a worker's death means for its connections. A worker that was
// killed from outside could have been doing anything; one that crashed or hung
// may do so again on the same request; one whose memory was damaged may have
// written anything into its records.
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

// placeOrphans sees to it that a worker will take over what dead ones have left:
// the next one of their slot, or else of another.
func (p *pool) placeOrphans() {
	for _, o := range slices.Clone(p.orphans) {
		if !o.slot.want || !slices.Contains(p.slots, o.slot) {
			o.slot = p.wantedSlot()
		}
		if p.phase == stopping || o.attempts >= rescueRetries || o.slot == nil {
			p.giveUp(o)
			continue
		}
		s := o.slot
		if s.state == ready && s.next == nil && s.worker.rescuing == nil && !slices.Contains(p.toReplace, s) {
			p.toReplace = append(p.toReplace, s) // whoever comes takes them over first
		}
	}
}

// wantedSlot is one that will have a worker, nil if there is none.
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

// forget closes what nobody has to take over any more.
func (p *pool) forget(o *orphaned) {
	o.of.proc.Kept().Close()
	p.orphans = slices.DeleteFunc(p.orphans, func(other *orphaned) bool { return other == o })
}

// isOrphaned reports whether somebody will take over what a worker has left.
func (p *pool) isOrphaned(w *worker) bool {
	return slices.ContainsFunc(p.orphans, func(o *orphaned) bool { return o.of == w })
}

// lostAll reports whether a worker that has died has left nothing behind though
// it had a keeper once.
func (p *pool) lostAll(w *worker, e Exit) bool {
	return w.served && !e.clean() && p.phase == serving && w.proc.Kept() != nil && !p.isOrphaned(w)
}

// orphansFor is what the next worker of a slot takes over first; nil if nothing.
func (p *pool) orphansFor(s *slot) *orphaned {
	for _, o := range p.orphans {
		if o.slot == s {
			return o
		}
	}
	return nil
}

// rescue lets a worker that is ready take over what dead ones have left in its
// slot, before it serves. It reports whether there is anything.
func (p *pool) rescue(w *worker) bool {
	o := p.orphansFor(w.slot)
	if p.phase != serving || o == nil || w.proc.Kept() == nil {
		return false
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
	p.unlockChannels(o.of)
	if err != nil {
		o.err = err
		p.Log.Info().Int("slot", o.of.slot.index).Int("pid", o.of.pid).Err(err).Msg("connections not transferred")
	}
}

// rescued is told that a worker has taken over all that came. The old keeper has
// to be gone before it may serve: as long as another process has a socket open,
// close() sends no FIN.
func (p *pool) rescued(w *worker, m ipc.Rescued) {
	o := w.rescuing
	if o == nil || o.result != nil {
		p.kill(w, "took over connections that nobody gave it")
		return
	}
	o.result, w.served = &m, true
	o.of.proc.Kept().EndKeeper()
	if o.of.keeper == 0 {
		p.rescueDone(w)
	}
}

// rescueDone lets a worker serve that has taken over a dead one's connections. If
// another has left some too, the next worker takes them over: one that died with
// the first ones and a part of the others would have some that are taken over twice.
func (p *pool) rescueDone(w *worker) {
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

// rescueLine says how many clients noticed nothing; it is empty if there was none.
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
		{m.Lost, "of which nothing consistent is known"},
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
