package supervise

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

// This file keeps the connections that a dead worker has left until another has taken
// them over.

// orphaned are the connections that a dead worker has left.
type orphaned struct {
	of        *worker
	slot      *slot // whose next worker takes them over
	blame     ipc.Blame
	crashes   int // of workers that were to take them over
	kills     int // of such workers, from outside
	died      time.Time
	transfers int          // under way
	forgotten bool         // nobody has to take them over any more
	left      int          // that cannot be rescued
	err       error        // why those that were not transferred are lost
	result    *ipc.Rescued // report of the worker that takes them over; nil: not yet
	taken     bool         // it has all of them, and waits for the end of the keeper
	untold    string       // the line of the death, until the rescue completes it; "": it was told
	tellBy    time.Time    // when it is told without the rescue
}

// done reports whether all has been taken over, and nobody else has it open.
func (o *orphaned) done() bool { return o.taken && o.transfers == 0 && o.of.keeper == 0 }

// failed counts the death of a worker that was to take them over.
func (o *orphaned) failed(w *worker, e Exit) {
	o.result = nil
	if fromOutside(w, e) {
		o.kills++
	} else {
		o.crashes++
	}
}

// fromOutside reports whether a worker's death was not its own fault.
func fromOutside(w *worker, e Exit) bool {
	return w.blameless || !w.killed && blameFor(w, e) == ipc.BlameNobody
}

// orphan keeps the connections of a worker that has died for the next one, if it left
// any.
func (p *pool) orphan(w *worker, e Exit) {
	w.exited = true
	if w.proc == nil || w.proc.Kept() == nil {
		return
	}
	if o := w.rescuing; o != nil {
		w.rescuing = nil
		if o.taken {
			p.endRescue(w, o)
		} else {
			p.tell(o)
			o.failed(w, e)
		}
	}
	if w.readySince.IsZero() {
		p.bury(w)
		return
	}
	if w.loss = p.lossOf(w, e); w.loss != "" || !w.served || e.clean() || !p.canRescue() || p.timedOut(w) {
		p.closeKept(w)
		return
	}
	o := &orphaned{of: w, slot: w.slot, blame: blameFor(w, e), died: p.Now()}
	if before := w.rescued; before != nil && p.phase == stopping && p.Now().Sub(w.readySince) < healthyTime {
		// Else a worker that dies of draining would be followed by others without end.
		o.crashes, o.kills = before.crashes, before.kills
		o.failed(w, e)
	}
	p.orphans = append(p.orphans, o)
}

// bury ends the keeper of a worker that died before it was ready.
func (p *pool) bury(w *worker) {
	p.transfers++
	p.wg.Go(func() {
		w.proc.Kept().Bury(w.pid)
		p.events <- event{do: func() { p.transfers-- }}
	})
}

// blameFor says what a worker's death means for its connections. No request is to
// blame if it was killed from outside; a crash or a hang may occur again on the same
// request; and if its memory was damaged, its records may be wrong.
func blameFor(w *worker, e Exit) ipc.Blame {
	switch {
	case w.killed && (w.guilty || strings.HasPrefix(w.killReason, hung)):
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
		if !p.canRescue() || o.crashes >= rescueCrashes || o.kills >= rescueKills {
			p.giveUp(o)
			continue
		}
		if p.phase == stopping {
			p.placeInDrain(o)
			continue
		}
		if !o.slot.want || o.slot.state == draining || !slices.Contains(p.all(), o.slot) {
			if o.slot = p.wantedSlot(); o.slot == nil {
				p.giveUp(o)
				continue
			}
		}
		s := o.slot
		if s.state == ready && s.next == nil && s.worker.rescuing == nil && !slices.Contains(p.toReplace, s) {
			p.toReplace = append(p.toReplace, s) // the replacement takes them over first
			s.replaceForOrphans(p.Now())
		}
	}
}

// canRescue reports whether the connections of dead workers are taken over: while the
// pool stops too, unless it stops immediately.
func (p *pool) canRescue() bool { return p.phase != launching && !p.forced }

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
	if p.phase == stopping {
		o.slot.want = false
	}
	if p.forced {
		return
	}
	p.rescues.GivenUp++
	line := fmt.Sprintf("connections of %v closed: %d workers failed to take them over", o.of, o.crashes+o.kills)
	if p.phase != stopping {
		p.Alert(line)
		return
	}
	if p.err == nil {
		p.blame(exitcode.New(exitcode.Failure, line, nil))
	}
}

// forget closes connections that need no rescue any more, or cannot be rescued. What a
// transfer reads is closed when that has ended.
func (p *pool) forget(o *orphaned) {
	p.tell(o)
	o.of.proc.Kept().EndKeeper()
	if o.forgotten = true; o.transfers == 0 {
		p.closeKept(o.of)
	}
	p.orphans = slices.DeleteFunc(p.orphans, func(other *orphaned) bool { return other == o })
}

// closeKept ends the keeper of a dead worker, and closes what that has left, which may take
// its time.
func (p *pool) closeKept(w *worker) {
	w.proc.Kept().EndKeeper()
	p.wg.Go(w.proc.Kept().Close)
}

// isOrphaned reports whether the connections of a dead worker are kept for another.
func (p *pool) isOrphaned(w *worker) bool { return p.orphansOf(w) != nil }

// orphansOf returns the connections that a dead worker has left, nil if it has none.
func (p *pool) orphansOf(w *worker) *orphaned {
	for _, o := range p.orphans {
		if o.of == w {
			return o
		}
	}
	return nil
}

// lossOf says why no connection of a worker that has died can be rescued; "" if it can.
func (p *pool) lossOf(w *worker, e Exit) string {
	if w.keeper == 0 {
		return "its keeper is gone"
	}
	if !w.proc.Kept().Readable() {
		return "its records are those of another version"
	}
	return ""
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
