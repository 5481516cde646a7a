package supervise

import (
	"slices"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
)

// handover is a handover channel from one worker to another. The pool keeps the
// receiving end too, so that connections in it survive both workers.
type handover struct {
	from, to *worker
	end      int
}

// tendHandovers passes the channel of a dead worker to another worker, and closes channels that
// are no longer needed. During a transfer of a dead worker's connections, which searches them, it
// does nothing.
func (p *pool) tendHandovers() {
	if p.transfers > 0 {
		return
	}
	latest := make(map[*worker]*handover) // of the workers that hand over
	for _, c := range p.handovers {
		latest[c.from] = c
	}
	p.handovers = slices.DeleteFunc(p.handovers, func(c *handover) bool {
		if p.isOrphaned(c.from) || p.isOrphaned(c.to) {
			return false
		}
		if c.from.exited && !ipc.Waiting(c.end) || latest[c.from] != c && ipc.Ended(c.end) {
			ipc.Empty(c.end) // of what is no connection
			unix.Close(c.end)
			return true
		}
		if !c.to.exited {
			return false
		}
		next := p.successor(c.to.slot.index)
		if next == nil || !c.from.canHandOver(next) || next.proc.SendFile(ipc.TakeOver{}, c.end) != nil {
			return false
		}
		c.to = next
		return false
	})
}

// moving returns the channels and workers for the transfer of a dead worker's connections.
// Until the transfer is done, nothing else touches the channels and no handover begins. A
// handover that is under way may move a connection on while the transfer looks for it.
func (p *pool) moving(w *worker) (m rescue.Moving) {
	m.Lock = &p.looking
	m.Out = p.handoversOf(w, &m)
	for _, c := range p.handovers {
		if c.to == w {
			m.In = append(m.In, c.end)
		}
	}
	for _, other := range p.inOrder(w) {
		o := rescue.Other{Out: p.handoversOf(other, &m)}
		if len(o.Out) > 0 {
			m.Blind = true
		}
		gone := other.exited && !p.isOrphaned(other)
		if !gone && !other.readySince.IsZero() { // otherwise it has no connections yet
			if kept := other.proc.Kept(); kept != nil {
				o.Lifeline = kept.Lifeline()
			}
			m.Blind = m.Blind || o.Lifeline == nil
		}
		m.Others = append(m.Others, o)
	}
	return m
}

// handoversOf returns the channels on which a worker hands over.
func (p *pool) handoversOf(w *worker, m *rescue.Moving) (out []rescue.Out) {
	for _, c := range p.handovers {
		if c.from != w {
			continue
		}
		taker := -1
		if !c.to.exited {
			fd, err := unix.PidfdOpen(c.to.pid, 0)
			m.Blind = m.Blind || err != nil && err != unix.ESRCH
			taker = fd // -1 in case of an error
		}
		out = append(out, rescue.Out{End: c.end, Taker: taker})
	}
	return out
}

// inOrder returns all workers but one, each after the workers that hand over to it. Such an
// order exists: connections go to workers that serve, and a worker that has begun to hand over
// never serves again.
func (p *pool) inOrder(but *worker) (order []*worker) {
	seen := map[*worker]bool{but: true}
	var add func(w *worker)
	add = func(w *worker) {
		if seen[w] {
			return
		}
		seen[w] = true
		for _, c := range p.handovers {
			if c.to == w {
				add(c.from)
			}
		}
		if w.rescuing != nil {
			add(w.rescuing.of)
		}
		order = append(order, w)
	}
	for _, w := range p.workers() {
		add(w)
	}
	for _, o := range p.orphans {
		add(o.of)
	}
	for _, c := range p.handovers { // channels outlive both of their workers
		add(c.to)
	}
	return order
}

func (p *pool) closeHandovers() {
	for _, c := range p.handovers {
		ipc.Empty(c.end)
		unix.Close(c.end)
	}
}

func (c *handover) upgradeState() ChannelState {
	s := ChannelState{End: c.end, Version: c.from.version}
	if !c.from.exited {
		s.From = c.from.pid
	}
	if !c.to.exited {
		s.To = c.to.pid
	}
	return s
}

// resumeHandover takes over a channel from before an upgrade. If one of its workers is dead, or
// was lost in the upgrade, a placeholder stands for it.
func (p *pool) resumeHandover(s ChannelState) {
	unix.CloseOnExec(s.End)
	find := func(pid int) *worker {
		for _, w := range p.workers() {
			if w.pid == pid {
				return w
			}
		}
		return &worker{slot: &slot{}, exited: true, movable: true, version: s.Version}
	}
	c := &handover{from: find(s.From), to: find(s.To), end: s.End}
	if !c.to.exited {
		c.from.successor = c.to
	}
	p.handovers = append(p.handovers, c)
}
