package supervise

import (
	"slices"
	"strings"
)

// This file handles deaths during a drain, so that no connection is lost: another worker takes over
// the connections and the accept queue, and drains like the others.

// timedOut reports whether a worker was killed because the drain of the whole pool timed out.
func (p *pool) timedOut(w *worker) bool {
	return p.phase == stopping && w.overran()
}

// overran reports whether a worker was killed because its drain timed out.
func (w *worker) overran() bool { return w.killed && strings.HasPrefix(w.killReason, drainTimedOut) }

// placeInDrain makes sure that, during a drain, another worker takes over the connections of a dead
// one, and drains.
func (p *pool) placeInDrain(o *orphaned) {
	s := o.slot
	if !slices.Contains(p.all(), s) {
		s = p.all()[0]
		o.slot = s
	}
	s.want = true
	if s.next != nil {
		return // the replacement takes them over
	}
	switch s.state {
	case ready, draining:
		p.free(s)
	case exited:
		p.move(s, retry)
		s.retryAt = p.Now().Add(backoffAfter(o.crashes + o.kills))
	}
}

// enterDrain makes a worker that becomes ready during a drain serve the connections that it has taken
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

// mayAccept reports whether connections may wait in a worker's accept queue. A worker of another
// version, from before an upgrade, may not report when its queue is empty.
func (p *pool) mayAccept(w *worker) bool { return w.served && !w.queueEmpty && w.version == p.Version }

// closeQueues notes that, during a drain, no connection waits for a worker any more.
func (p *pool) closeQueues() {
	waits := slices.ContainsFunc(p.all(), func(s *slot) bool { return s.want })
	if p.queuesEmpty || waits || slices.ContainsFunc(p.workers(), p.mayAccept) {
		return
	}
	p.queuesEmpty = true
	p.OnQueuesEmpty()
}

// leaveQueue replaces a worker that no longer accepts, although the pool drains or closes its slot:
// the worker was sent a signal directly, just before the pool's order. Another worker serves the
// connections in the accept queue.
func (p *pool) leaveQueue(w *worker) {
	s := w.slot
	left := w.queueLeft && (s.state == ready || s.state == draining)
	if !left || p.phase != stopping && !p.isClosing(s) || p.forced || p.queuesEmpty {
		return
	}
	if s.delay(w, p.Now(), p.Chance()); len(s.recent) >= deathLimit {
		return
	}
	p.free(s)
	s.want = true
	switch {
	case s.next == nil:
	case s.next.rescuing != nil: // it serves the accept queue too
		p.promote(s)
	default: // it has been told to exit
		p.detached = append(p.detached, s.next)
		s.next = nil
	}
}

// serveQueue makes sure that, during a drain, another worker serves the accept queue of a dead one, or
// of one whose replacement died before it served. It does not wait for a slot whose workers keep
// crashing or do not start.
func (p *pool) serveQueue(w *worker, e Exit) {
	s := w.slot
	replacement := s.want && !w.served
	s.want = false // otherwise the pool would wait for a worker forever
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
