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

// This file keeps the connections of a dead worker until another worker has taken them over.

// orphaned are the connections of a dead worker.
type orphaned struct {
	of        *worker
	slot      *slot // slot whose next worker takes them over
	blame     ipc.Blame
	crashes   int // crashes of workers that were to take them over
	kills     int // how often such workers were killed from outside
	died      time.Time
	transfers int          // transfers under way
	forgotten bool         // they need not be taken over any more
	left      int          // connections that cannot be rescued
	err       error        // why connections that were not transferred are lost
	result    *ipc.Rescued // report of the worker that takes them over; nil: none yet
	taken     bool         // a worker has taken over all, and waits for the end of the keeper
	untold    string       // line of the death, until the rescue completes it; "": it was reported
	tellBy    time.Time    // when untold is reported without the rescue
}

// done reports whether all connections have been taken over, and no other process has them open.
func (o *orphaned) done() bool { return o.taken && o.transfers == 0 && o.of.keeper == 0 }

// failed counts the death of a worker that was to take the connections over.
func (o *orphaned) failed(w *worker, e Exit) {
	o.result = nil
	if fromOutside(w, e) {
		o.kills++
	} else {
		o.crashes++
	}
}

// fromOutside reports whether a worker was killed from outside.
func fromOutside(w *worker, e Exit) bool {
	return w.blameless || !w.killed && blameFor(w, e) == ipc.BlameNobody
}

// orphan keeps the connections of a dead worker, if any, for the next worker.
func (p *pool) orphan(w *worker, e Exit) {
	w.exited = true
	if w.proc == nil {
		return
	}
	left := w.served && !e.clean() && p.canRescue() && !p.timedOut(w) // it has left connections
	if w.proc.Kept() == nil {
		if left && !w.overran() {
			p.countLost(w)
		}
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
		p.discard(w)
		return
	}
	if w.loss = lossOf(w); w.loss != "" || !left {
		if left {
			p.countLost(w)
		}
		p.closeKept(w)
		return
	}
	o := &orphaned{of: w, slot: w.slot, blame: blameFor(w, e), died: p.Now()}
	if before := w.rescued; before != nil && p.phase == stopping && p.Now().Sub(w.readySince) < healthyTime {
		// Otherwise workers that die while they drain could follow each other without end.
		o.crashes, o.kills = before.crashes, before.kills
		o.failed(w, e)
	}
	p.orphans = append(p.orphans, o)
}

// discard ends the keeper of a worker that died before it was ready.
func (p *pool) discard(w *worker) {
	p.transfers++
	p.wg.Go(func() {
		w.proc.Kept().Discard(w.pid)
		p.calls <- func() { p.transfers-- }
	})
}

// blameFor returns which connections may have caused a worker's death. If it was killed from
// outside, none has. A crash or a hang may occur again with the same request. If its memory was
// damaged, its records may be wrong.
func blameFor(w *worker, e Exit) ipc.Blame {
	switch {
	case w.killed && (w.invalid || strings.HasPrefix(w.killReason, hung)):
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

// placeOrphans makes sure that a worker will take over the connections of dead ones: the next
// worker in their slot, or else in another.
func (p *pool) placeOrphans() {
	for _, o := range slices.Clone(p.orphans) {
		if !p.canRescue() || o.crashes >= rescueCrashes || o.kills >= rescueKills {
			p.giveUp(o, fmt.Sprintf("%d workers failed to take them over", o.crashes+o.kills))
			continue
		}
		if p.phase == stopping {
			p.placeInDrain(o)
			continue
		}
		if !o.slot.want || o.slot.state == draining || !slices.Contains(p.all(), o.slot) {
			if o.slot = p.wantedSlot(); o.slot == nil {
				p.giveUp(o, "no worker is left to take them over")
				continue
			}
		}
		s := o.slot
		if s.state == ready && s.next == nil && s.worker.rescuing == nil && p.queueReplacement(s) {
			s.replaceForOrphans(p.Now()) // the replacement takes them over first
		}
	}
}

// canRescue reports whether the connections of dead workers are taken over. They are during a
// drain too, but not during an immediate stop.
func (p *pool) canRescue() bool { return p.phase != launching && !p.forced }

// wantedSlot returns a slot that will have a worker; nil if there is none.
func (p *pool) wantedSlot() *slot {
	for _, s := range p.slots {
		if s.want {
			return s
		}
	}
	return nil
}

// giveUp closes the connections of a dead worker.
func (p *pool) giveUp(o *orphaned, why string) {
	p.forget(o)
	if p.phase == stopping {
		o.slot.want = false
	}
	if p.forced {
		return
	}
	p.countLost(o.of)
	line := fmt.Sprintf("connections of %v closed: %s", o.of, why)
	if p.phase != stopping {
		p.Alert(line)
		return
	}
	if p.err == nil {
		p.setError(exitcode.New(exitcode.Failure, line, nil))
	}
}

// forget closes connections that need no rescue any more, or cannot be rescued. If a transfer
// is under way, they are closed when it has ended.
func (p *pool) forget(o *orphaned) {
	p.tell(o)
	o.of.proc.Kept().EndKeeper()
	if o.forgotten = true; o.transfers == 0 {
		p.closeKept(o.of)
	}
	p.orphans = slices.DeleteFunc(p.orphans, func(other *orphaned) bool { return other == o })
}

// closeKept ends the keeper of a dead worker, and closes the worker's records and lifeline, which
// may take some time.
func (p *pool) closeKept(w *worker) {
	w.proc.Kept().EndKeeper()
	p.wg.Go(w.proc.Kept().Close)
}

// isOrphaned reports whether the connections of a dead worker are kept for another.
func (p *pool) isOrphaned(w *worker) bool { return p.orphansOf(w) != nil }

// orphansOf returns the connections of a dead worker; nil if none are kept.
func (p *pool) orphansOf(w *worker) *orphaned {
	return p.firstOrphans(func(o *orphaned) bool { return o.of == w })
}

// orphansFor returns the connections that the next worker in a slot takes over first; nil if there
// are none. While the pool stops, a replacement in the slot may be taking others over.
func (p *pool) orphansFor(s *slot) *orphaned {
	return p.firstOrphans(func(o *orphaned) bool { return o.slot == s && !p.isTaken(o) })
}

// isTaken reports whether a worker is taking connections over.
func (p *pool) isTaken(o *orphaned) bool {
	return slices.ContainsFunc(p.workers(), func(w *worker) bool { return w.rescuing == o })
}

func (p *pool) firstOrphans(match func(*orphaned) bool) *orphaned {
	if i := slices.IndexFunc(p.orphans, match); i >= 0 {
		return p.orphans[i]
	}
	return nil
}

// lossOf returns why the connections of a dead worker cannot be rescued; "" if they can.
func lossOf(w *worker) string {
	if w.keeper == 0 {
		return "its keeper is gone"
	}
	if !w.proc.Kept().Readable() {
		return "its records are those of another version"
	}
	return ""
}
