package eventloop

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/proxyproto"
	"phalanx/internal/serve"
)

// slack is how far a deadline may move before its peer is moved to the end of its list. So a
// busy connection is not moved for each request; timers are that much less exact.
const slack = 100 * time.Millisecond

// timerHandshake is the timer of a TLS handshake or PROXY header, in addition to those of conn.
const timerHandshake = conn.NumTimers

// deadline returns the timer of a peer and when it is due. During a drain, a client that has
// sent nothing has only the time of an idle one. A throttled peer has no deadline.
func (p *peer) deadline() (conn.Timer, time.Duration) {
	if p.aside != nil && p.aside.throttled {
		return conn.TimerSend, math.MaxInt64
	}
	kind, deadline := p.http().Timer(), p.http().Deadline()
	if p.header != headerNone && (kind != conn.TimerGrace || len(p.begun()) > 0) {
		return timerHandshake, p.http1.View().Since + conn.HeadTimeout
	}
	if p.handshaking() && kind != conn.TimerSend && (kind != conn.TimerGrace || !p.tls.Silent()) {
		return timerHandshake, p.tls.Deadline()
	}
	return kind, deadline
}

// handshaking reports whether a handshake is under way.
func (p *peer) handshaking() bool { return p.tls != nil && p.tls.Handshaking() }

// arm puts a peer into the list of its timer. All deadlines of a list are equally long, so it
// is in order without sorting. A sending peer is checked more often than its deadline.
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

// expire handles all timers that are due.
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

// due is called at the time for which the peer was put into its list. Its deadline may have
// moved since.
func (l *Loop) due(p *peer) {
	if p.kind == conn.TimerSend {
		l.progress(p)
	}
	if kind, deadline := p.deadline(); deadline > l.now.Mono {
		if p.kind != kind || p.kind == conn.TimerSend || deadline-p.armed >= slack {
			l.arm(p)
			l.review(p)
			return
		}
		// It is due soon, and the peers behind it are due later.
		p.armed = deadline
		l.timers[p.kind].unshift(&p.timer)
		return
	}
	if p.step == conn.Read && len(p.unsent) == 0 && (p.more || l.unread(p)) && l.inTime(p) {
		return
	}
	if p.kind == conn.TimerLinger {
		if !p.queue.Lasts(&l.cfg, p.http(), int(p.fd), l.now) {
			l.close(p) // even if the client is still sending
			return
		}
		p.http().Linger(l.now) // the last response is still on its way
		l.arm(p)
		return
	}
	if p.header != headerNone && p.kind == timerHandshake {
		l.unproxied(p, proxyproto.ReasonTimeout)
		return
	}
	if p.handshaking() && p.tls.Expire(l.now.Mono) {
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

// review lets an HTTP/2 connection that waits for windows do what is due, such as continue a request that
// waited for a file of another connection to be closed.
func (l *Loop) review(p *peer) {
	if p.kind == conn.TimerSend && p.step == conn.Read && len(p.unsent) == 0 && p.speaksHTTP2() {
		l.proceed(p)
	}
}

// unread reports whether a peer's socket has bytes to receive, which the loop has not got
// round to, perhaps because its process was stopped.
func (l *Loop) unread(p *peer) bool {
	n, err := unix.IoctlGetInt(int(p.fd), unix.SIOCINQ)
	return err == nil && n > 0
}

// inTime receives what a peer that is due has sent. It returns true if the peer is no longer
// due, or has ended. A request that is still incomplete is too late.
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

// progress finds out whether a client is receiving bytes; see serve.ProgressEvery. While the
// peer waits for the disk, the client's deadline moves.
func (l *Loop) progress(p *peer) {
	if p.fetching {
		p.http().Progress(math.MaxInt64, l.now)
	}
	p.queue.Progress(p.http(), int(p.fd), l.now)
}
