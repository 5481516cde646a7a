package supervise

import (
	"fmt"
	"slices"

	"phalanx/internal/ipc"
)

// This file changes the number of slots, and decides which of them get new connections.

// resize changes how many slots are wanted; scale opens and closes slots accordingly.
func (p *pool) resize(n int) {
	switch {
	case p.phase != serving:
		p.Alert("the pool is not serving; the number of workers is unchanged")
	case p.Sockets == nil:
		p.Alert("this model has one worker; more need --model process")
	case n < 1:
		p.Alert("at least one worker is needed; stop the server with SIGTERM")
	case n > ipc.MaxSlots:
		p.Alert(fmt.Sprintf("%d workers is the maximum", ipc.MaxSlots))
	default:
		p.wanted, p.wantedReason = n, fmt.Sprintf("a later order has set the number of workers to %d", n)
	}
}

// scale opens or closes the last slots until there are as many as wanted. A slot can be closed only
// while it has a worker that accepts the connections on their way to it, unless it is quarantined, and
// not if all others are quarantined.
func (p *pool) scale() {
	for len(p.slots) < p.wanted {
		if !p.grow() {
			return
		}
	}
	for len(p.slots) > p.wanted {
		s := p.slots[len(p.slots)-1]
		if s.want && (s.state != ready || s.worker.killed) {
			return // until it has one
		}
		if s.want && !p.others(s) { // without it no worker would serve
			p.wanted = len(p.slots)
			p.wantedReason = fmt.Sprintf("number of workers stays %d: all slots but the last are quarantined; correct the cause, and send SIGHUP first", p.wanted)
			p.Alert(p.wantedReason)
			return
		}
		p.shrink(s)
	}
	p.closeSockets()
}

// grow opens one more slot: one that is being closed and still has its socket, or a new one.
func (p *pool) grow() bool {
	if len(p.closing) > 0 {
		p.reopen(p.closing[0])
		return true
	}
	index, err := p.Sockets.Grow()
	if err != nil {
		p.wanted = len(p.slots)
		p.wantedReason = fmt.Sprintf("number of workers stays %d: %s", p.wanted, oneLine(err.Error()))
		p.Alert(p.wantedReason)
		return false
	}
	s := &slot{index: index, want: true}
	p.slots, p.steered = append(p.slots, s), nil
	p.Log.Info().Int("slot", index).Msg("slot opened")
	p.spawn(s)
	return true
}

// reopen opens the first of the slots that are being closed. If a worker drains there, it keeps
// draining, and accepts beside the new one for a while.
func (p *pool) reopen(s *slot) {
	p.closing = p.closing[1:]
	p.slots, p.steered = append(p.slots, s), nil
	p.Log.Info().Int("slot", s.index).Msg("slot reopened")
	switch s.state {
	case draining:
		p.free(s)
		s.want = true
		p.spawn(s)
	case exited:
		p.revive(s)
	}
}

// shrink closes the last slot to new connections. It keeps its socket until a worker
// has accepted what is on its way there, handed its connections over, and exited.
func (p *pool) shrink(s *slot) {
	p.slots = p.slots[:len(p.slots)-1]
	p.closing = slices.Insert(p.closing, 0, s)
	p.Log.Info().Int("slot", s.index).Msg("slot closed")
	p.steer()
	if s.next != nil {
		w := s.next
		s.next = nil
		p.detached = append(p.detached, w)
		p.kill(w, notNeeded)
	}
	if s.worker != nil {
		p.drainSlot(s)
	}
}

// drainSlot makes the worker of a slot that is being closed drain.
func (p *pool) drainSlot(s *slot) {
	p.move(s, drain)
	p.handOver(s.worker, p.successor(s.index), true)
}

// isClosing reports whether a slot is being closed.
func (p *pool) isClosing(s *slot) bool { return slices.Contains(p.closing, s) }

// closeSockets closes the sockets of slots in which no worker drains any more, from the last slot
// down.
func (p *pool) closeSockets() {
	for len(p.closing) > 0 {
		last := len(p.closing) - 1
		if s := p.closing[last]; s.want || s.worker != nil || p.accepts(s) {
			return
		}
		p.closing = p.closing[:last]
		if err := p.Sockets.Shrink(); err != nil {
			p.Log.Info().Err(err).Msg("listening socket not closed")
		}
		p.steered = nil // the kernel has renumbered the sockets
	}
}

// accepts reports whether a process other than the slot's worker has its socket open: a worker that
// drained before the slot was reopened, or the keeper of a dead one.
func (p *pool) accepts(s *slot) bool {
	// Workers from before an upgrade have a slot of their own with this index.
	if slices.ContainsFunc(p.detached, func(w *worker) bool { return w.slot.index == s.index && w.lastOwner }) {
		return true
	}
	for _, w := range p.keepers {
		if w.slot.index == s.index && w.exited {
			return true
		}
	}
	return false
}

// steer directs new connections to the slots that have a worker. Connections in the accept queue of
// another slot are served by its next worker, but no more should join them. If no slot has a
// worker, connections wait wherever they arrive.
func (p *pool) steer() {
	if p.Sockets == nil {
		return
	}
	var all, able []int
	for _, s := range p.slots {
		all = append(all, s.index)
		if s.state == ready && !s.worker.killed {
			able = append(able, s.index)
		}
	}
	if len(able) == 0 {
		able = all
	}
	if slices.Equal(able, p.steered) {
		return
	}
	p.steered = able
	if err := p.Sockets.Steer(able); err != nil {
		p.Log.Warn().Err(err).Msg("new connections not steered")
	}
}
