package supervise

import (
	"fmt"
	"slices"

	"phalanx/internal/ipc"
)

// This file is how many slots there are, and which of them get new
// connections.

// resize changes how many slots are wanted; scale makes it so.
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

// scale opens and closes slots at the end of the row, until there are as many
// as wanted. One that is to be closed has to have a worker to take what is on
// its way to it, unless it was given up.
func (p *pool) scale() {
	for len(p.slots) < p.wanted {
		if !p.grow() {
			return
		}
	}
	for len(p.slots) > p.wanted {
		s := p.slots[len(p.slots)-1]
		if s.want && (s.state != ready || s.worker.killed) {
			return // soon
		}
		p.shrink(s)
	}
}

func (p *pool) grow() bool {
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

// shrink closes the last slot. Its socket stays open until its worker has exited,
// which accepts what is on its way there and hands its connections over.
func (p *pool) shrink(s *slot) {
	p.slots = p.slots[:len(p.slots)-1]
	closeSocket := p.Sockets.Shrink()
	p.Log.Info().Int("slot", s.index).Msg("slot closed")
	p.steer()
	if s.next != nil {
		w := s.next
		s.next = nil
		p.detached = append(p.detached, w)
		p.kill(w, notNeeded)
	}
	if s.worker == nil {
		p.closeSocket(closeSocket)
		return
	}
	w := s.worker
	p.move(s, detach)
	s.worker, s.want = nil, false
	w.closeSocket = closeSocket
	p.detached = append(p.detached, w)
	p.handOver(w, p.successor(s.index), true)
}

func (p *pool) closeSocket(closeIt func() error) {
	if err := closeIt(); err != nil {
		p.Log.Info().Err(err).Msg("listening socket not closed")
	}
	p.steered = nil // the kernel counts the sockets anew
}

// steer sends new connections to the slots that have a worker: what waits in
// the queue of another is served by its next worker, but need not be more. When
// no slot has one, they wait wherever they come.
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
