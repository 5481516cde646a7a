package serve

import (
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// slack is for how long a deadline may move before its peer is put at the
// end of its list anew. It saves moving a busy connection for each request,
// and makes the timers that much less exact.
const slack = 100 * time.Millisecond

// arm puts a peer into the list of its timer. All deadlines of a list are
// equally long, so it is in order without sorting.
func (l *Loop) arm(p *peer) {
	kind, deadline := p.conn.Timer(), p.conn.Deadline()
	if p.timer.linked() && p.kind == kind && deadline-p.armed < slack {
		return
	}
	p.timer.remove()
	p.kind, p.armed = kind, deadline
	l.timers[kind].push(&p.timer)
}

// expire ends what has come to its deadline, and a pause in accepting.
func (l *Loop) expire() {
	if l.resume != 0 && l.now.Mono >= l.resume {
		l.goOn()
	}
	for i := range l.timers {
		for {
			p := l.timers[i].front()
			if p == nil || p.armed > l.now.Mono {
				break
			}
			p.timer.remove()
			l.due(p)
		}
	}
}

// due is called when the deadline may have passed for which the peer was put
// into its list. It may have moved by less than slack since.
func (l *Loop) due(p *peer) {
	if deadline := p.conn.Deadline(); deadline > l.now.Mono {
		if p.kind != p.conn.Timer() || deadline-p.armed >= slack {
			l.arm(p)
			return
		}
		// Nearly due: those behind it are due later still.
		p.armed = deadline
		l.timers[p.kind].unshift(&p.timer)
		return
	}
	if p.fetching {
		p.conn.Progress(l.now) // it is the disk that is slow
		l.arm(p)
		return
	}
	if p.kind == conn.TimerSend {
		// See patience: the client may have taken bytes all the same.
		if queued, err := unix.IoctlGetInt(int(p.fd), unix.SIOCOUTQ); err == nil && int32(queued) != p.queued {
			p.queued = int32(queued)
			p.conn.Progress(l.now)
			l.arm(p)
			return
		}
	}
	p.conn.Expire(l.now)
	p.unsent = nil
	p.turn.remove()
	if l.advance(p) {
		l.serve(p)
	}
}
