package supervise

import (
	"slices"
	"strings"
)

// This file is what a death costs while the pool stops: nothing. Another worker takes
// over the connections and the accept queue, and drains like the others.

// timedOut reports whether a worker was killed because the time for the drain of the
// whole pool is over.
func (p *pool) timedOut(w *worker) bool {
	return p.phase == stopping && w.killed && strings.HasPrefix(w.killReason, drainTimedOut)
}

// placeInDrain makes sure that while the pool stops another worker takes over the
// connections of a dead one, and drains.
func (p *pool) placeInDrain(o *orphaned) {
	s := o.slot
	if !slices.Contains(p.all(), s) {
		s = p.all()[0]
		o.slot = s
	}
	s.want = true
	if s.next != nil {
		return // it takes them over
	}
	switch s.state {
	case ready, draining:
		w := s.worker
		p.move(s, detach)
		s.worker = nil
		p.limitDrain(w, false)
		p.detached = append(p.detached, w)
	case exited:
		p.move(s, retry)
		s.retryAt = p.Now().Add(backoffAfter(o.crashes + o.kills))
	}
}

// enterDrain lets a worker that is ready while the pool stops serve what it has taken
// over, and drain.
func (p *pool) enterDrain(w *worker) {
	s := w.slot
	if w == s.next {
		s.next = nil
		p.limitDrain(w, false)
		p.detached = append(p.detached, w)
	} else {
		p.move(s, report)
	}
	s.want = false
	if w.served || !w.signalled && !p.queuesEmpty {
		p.startServing(w)
	}
}

// mayAccept reports whether connections may wait for a worker. One from before an upgrade
// may be of a version that does not say when none does.
func (p *pool) mayAccept(w *worker) bool { return w.served && !w.queueEmpty && w.version == p.Version }

// closeQueues notes that while the pool stops no connection waits for a worker any more.
func (p *pool) closeQueues() {
	waits := slices.ContainsFunc(p.all(), func(s *slot) bool { return s.want })
	if p.queuesEmpty || waits || slices.ContainsFunc(p.workers(), p.mayAccept) {
		return
	}
	p.queuesEmpty = true
	p.OnQueuesEmpty()
}

// leaveQueue gives the slot of a worker that has left its accept queue, although the pool
// stops or closes the slot, to another one, which serves what waits there. The worker was
// sent a signal directly, just before the pool's order.
func (p *pool) leaveQueue(w *worker) {
	s := w.slot
	left := w.queueLeft && (s.state == ready || s.state == draining)
	if !left || p.phase != stopping && !p.isClosing(s) || p.forced || p.queuesEmpty {
		return
	}
	if s.delay(w, p.Now(), p.Chance()); len(s.recent) >= deathLimit {
		return
	}
	p.move(s, detach)
	p.limitDrain(w, false)
	p.detached = append(p.detached, w)
	if s.next != nil { // it has been told to exit
		p.detached = append(p.detached, s.next)
	}
	s.worker, s.next, s.want = nil, nil, true
}

// serveQueue makes sure that while the pool stops another worker takes what waits in the
// accept queue of a dead one, or of one whose replacement died before it served. It does
// not wait for a slot whose workers keep crashing, or do not start.
func (p *pool) serveQueue(w *worker, e Exit) {
	s := w.slot
	replacement := s.want && !w.served
	s.want = false // or nothing would end the wait for a worker
	if e.clean() && !w.queueLeft || p.forced || p.queuesEmpty || p.timedOut(w) || !replacement && !p.mayAccept(w) {
		return
	}
	delay := s.delay(w, p.Now(), p.Chance())
	hopeless := !fromOutside(w, e) && (delay >= soon || w.killed && w.readySince.IsZero())
	if len(s.recent) < deathLimit && !hopeless {
		p.move(s, retry)
		s.want, s.retryAt = true, p.Now().Add(delay)
	}
}
