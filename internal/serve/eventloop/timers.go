package eventloop

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/proxyproto"
	"phalanx/internal/serve"
)

// slack is for how long a deadline may move before its peer is put at the
// end of its list anew. It saves moving a busy connection for each request,
// and makes the timers that much less exact.
const slack = 100 * time.Millisecond

// timerHandshake is the timer of a TLS handshake and of a PROXY header, beside those of
// conn.
const timerHandshake = conn.NumTimers

// deadline returns the timer of a peer and when it is due. A client that has not said
// anything has only the time that any idle one has while the worker drains. One that is
// throttled has all the time.
func (p *peer) deadline() (conn.Timer, time.Duration) {
	if p.aside != nil && p.aside.throttled {
		return conn.TimerSend, math.MaxInt64
	}
	kind, deadline := p.http().Timer(), p.http().Deadline()
	if p.header != headerNone && (kind != conn.TimerGrace || len(p.begun()) > 0) {
		return timerHandshake, p.http1.View().Since + conn.HeadTimeout
	}
	if p.shaking() && kind != conn.TimerSend && (kind != conn.TimerGrace || !p.tls.Silent()) {
		return timerHandshake, p.tls.Deadline()
	}
	return kind, deadline
}

// shaking reports whether a handshake is under way.
func (p *peer) shaking() bool { return p.tls != nil && p.tls.Handshaking() }

// arm puts a peer into the list of its timer. All deadlines of a list are
// equally long, so it is in order without sorting. A peer that sends is looked
// at much more often than it is due.
func (l *Loop) arm(p *peer) {
	kind, deadline := p.deadline()
	if kind == conn.TimerSend {
		deadline = l.now.Mono + serve.ProgressEvery
	}
	if p.timer.linked() && p.kind == kind && (deadline-p.armed < slack || kind == conn.TimerSend) {
		return
	}
	p.timer.remove()
	p.kind, p.armed = kind, deadline
	l.timers[kind].insert(&p.timer)
}

// expire ends what has come to its deadline.
func (l *Loop) expire() {
	l.acceptTimers()
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

// due is called when the time has come for which the peer was put into its
// list. Its deadline may have moved since.
func (l *Loop) due(p *peer) {
	if p.kind == conn.TimerSend {
		l.progress(p)
	}
	if kind, deadline := p.deadline(); deadline > l.now.Mono {
		if p.kind != kind || p.kind == conn.TimerSend || deadline-p.armed >= slack {
			l.arm(p)
			return
		}
		// Nearly due: those behind it are due later still.
		p.armed = deadline
		l.timers[p.kind].unshift(&p.timer)
		return
	}
	if p.step == conn.Read && len(p.unsent) == 0 && l.unread(p) && l.inTime(p) {
		return
	}
	if p.kind == conn.TimerLinger {
		l.close(p) // whatever it still sends
		return
	}
	if p.header != headerNone && p.kind == timerHandshake {
		l.unproxied(p, proxyproto.ReasonTimeout)
		return
	}
	if p.shaking() && p.tls.Expire(l.now.Mono) {
		l.failed(p, nil)
		return
	}
	if p.kind == conn.TimerSend {
		l.cfg.Records.Closing(int(p.fd)) // before its file is closed
	}
	l.tally.Expired(p.http().Expire(l.now))
	l.sent(p)
	p.turn.remove()
	if l.advance(p) {
		l.serve(p)
	}
}

// unread reports whether there is something to receive from a peer: the loop has not come
// to it yet, perhaps because it stood still.
func (l *Loop) unread(p *peer) bool {
	n, err := unix.IoctlGetInt(int(p.fd), unix.SIOCINQ)
	return err == nil && n > 0
}

// inTime takes what a peer that is due has sent, and reports whether it ends no more, or has
// ended. What is still incomplete then is too late.
func (l *Loop) inTime(p *peer) bool {
	if p.readable = true; !p.turn.linked() {
		l.serve(p)
	}
	if p.gone {
		return true
	}
	kind, deadline := p.deadline()
	if waits := kind == timerHandshake && p.turn.linked(); waits || deadline > l.now.Mono {
		return true
	}
	p.timer.remove()
	p.kind = kind
	return false
}

// progress finds out whether a client that is waited for takes bytes; see
// serve.ProgressEvery. While it is the disk that is waited for, the client has time.
func (l *Loop) progress(p *peer) {
	if p.fetching {
		p.http().Progress(math.MaxInt64, l.now)
	}
	if queued, err := unix.IoctlGetInt(int(p.fd), unix.SIOCOUTQ); err == nil {
		p.http().Progress(int64(p.queued)-int64(queued), l.now)
		p.queued = int32(queued)
	}
}
