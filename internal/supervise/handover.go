package supervise

import (
	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// This file moves the connections of one worker to another.

// handOver makes a worker drain because another one serves in its place. If both can, it hands
// its connections over on a channel. lastOwner says that no other worker has its listening
// socket.
func (p *pool) handOver(old, successor *worker, lastOwner bool) {
	p.limitDrain(old, lastOwner)
	if old.lastOwner = lastOwner; !old.canHandOver(successor) {
		p.send(old, ipc.Drain{Queue: lastOwner})
		return
	}
	old.handingOver = true
	p.openHandover(old, successor) // if the successor has just died, findSuccessors finds another
}

// openHandover sends both workers their ends of a new channel, which makes the old one hand
// over. If connections are rescued, the pool keeps the receiving end too. During the transfer
// of a dead worker's connections it does nothing: findSuccessors calls it again.
func (p *pool) openHandover(old, successor *worker) {
	if p.transfers > 0 {
		return
	}
	from, to, err := ipc.Handover()
	if err == nil {
		defer unix.Close(from)
		err = successor.proc.SendFile(ipc.TakeOver{}, to)
	}
	if err == nil {
		err = old.proc.SendFile(ipc.Drain{Queue: old.lastOwner}, from)
	}
	if err != nil {
		ipc.Empty(from)
		p.Log.Info().Int("slot", old.slot.index).Int("pid", old.pid).Err(err).Msg("connections not handed over")
	} else {
		old.successor = successor
	}
	if err == nil && (old.proc.Kept() != nil || successor.proc.Kept() != nil) {
		p.handovers = append(p.handovers, &handover{from: old, to: successor, end: to})
	} else if to >= 0 {
		unix.Close(to)
	}
}

// findSuccessors finds another successor for each worker whose successor has died, or drains in turn:
// it could not exit before that worker.
func (p *pool) findSuccessors() {
	for _, w := range p.workers() {
		if !w.handingOver || w.killed || w.successor != nil && !w.successor.draining() {
			continue
		}
		switch successor := p.successor(w.slot.index); {
		case successor == nil:
		case w.canHandOver(successor):
			p.openHandover(w, successor)
		default:
			p.interrupt(w) // no worker can take them over: it drains
		}
	}
}

// successor returns the worker that takes over the connections of a closing slot: a different
// one for each slot, if there are enough.
func (p *pool) successor(index int) *worker {
	for i := range p.slots {
		if s := p.slots[(index+i)%len(p.slots)]; s.state == ready && !s.worker.killed {
			return s.worker
		}
	}
	return nil
}
