package supervise

import (
	"slices"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
)

// channel is a handover channel from one worker to another. The pool keeps the
// receiving end too, so that connections in it survive both workers.
type channel struct {
	from, to *worker
	end      int
	lookers  int // transfers of dead workers' connections that look at it
}

// tendChannels gives the channel of a worker that has died to another, and closes
// those that are no longer needed.
func (p *pool) tendChannels() {
	p.channels = slices.DeleteFunc(p.channels, func(c *channel) bool {
		if c.lookers > 0 || p.isOrphaned(c.from) || p.isOrphaned(c.to) || !c.from.exited && !c.to.exited {
			return false
		}
		if c.from.exited && !ipc.Waiting(c.end) {
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

// moving returns a dead worker's channels for the transfer of its connections. Nothing
// else touches them until the transfer is done, and no handover begins. One that is under
// way may move a connection on while it is looked for.
func (p *pool) moving(w *worker) (m rescue.Moving) {
	m.Lock = &p.looking
	for _, c := range p.channels {
		switch w {
		case c.from:
			out := rescue.Out{End: c.end, Taker: -1}
			if !c.to.exited {
				fd, err := unix.PidfdOpen(c.to.pid, 0)
				m.Blind = m.Blind || err != nil && err != unix.ESRCH
				out.Taker = fd // -1 in case of an error
			}
			m.Out = append(m.Out, out)
		case c.to:
			m.In = append(m.In, c.end)
		default:
			m.Blind = true
			continue
		}
		c.lookers++
	}
	others := p.workers()
	for _, o := range p.orphans {
		others = append(others, o.of)
	}
	for _, other := range others {
		if other == w || other.readySince.IsZero() { // that has no connections yet
			continue
		}
		fd := -1
		if kept := other.proc.Kept(); kept != nil {
			fd = kept.Keeper()
		}
		if fd < 0 {
			m.Blind = true
			continue
		}
		m.Keepers = append(m.Keepers, fd)
	}
	return m
}

func (p *pool) unlockChannels(w *worker) {
	for _, c := range p.channels {
		if c.from == w || c.to == w {
			c.lookers--
		}
	}
}

func (p *pool) closeChannels() {
	for _, c := range p.channels {
		unix.Close(c.end)
	}
}

func (c *channel) state() ChannelState {
	s := ChannelState{End: c.end, Version: c.from.version}
	if !c.from.exited {
		s.From = c.from.pid
	}
	if !c.to.exited {
		s.To = c.to.pid
	}
	return s
}

// resumeChannel takes over a channel from before an upgrade. A worker that is dead, or
// was lost in the upgrade, is only remembered.
func (p *pool) resumeChannel(s ChannelState) {
	unix.CloseOnExec(s.End)
	find := func(pid int) *worker {
		for _, w := range p.workers() {
			if w.pid == pid {
				return w
			}
		}
		return &worker{slot: &slot{}, exited: true, movable: true, version: s.Version}
	}
	c := &channel{from: find(s.From), to: find(s.To), end: s.End}
	if !c.to.exited {
		c.from.successor = c.to
	}
	p.channels = append(p.channels, c)
}
