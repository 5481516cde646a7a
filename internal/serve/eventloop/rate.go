package eventloop

import (
	"math"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
)

// This file enforces the bandwidth limit of each connection. A peer at its limit waits in a
// list of its own. All wait equally long, so the list is in order, and no peer needs a timer.

// quota returns how many bytes a peer may send now; 0: it must wait.
func (l *Loop) quota(p *peer) int64 {
	if !l.cfg.Rate.Limited() {
		return math.MaxInt64
	}
	return p.aside.bucket.Allow(l.cfg.Rate, l.now.Mono)
}

// inline reports whether a segment is copied into the buffer of the bytes before it, which
// leave this much of the quota. A body in memory is always copied, because only this process
// can send it.
func inline(s conn.Segment, quota int64) bool {
	return s.Len <= serve.InlineMax && (s.Len <= quota || s.File.Body() != nil)
}

// used reports whether a peer has used its quota up and has a further request: the whole next
// response must wait, not only its body.
func used(p *peer, quota int64) bool { return quota <= 0 && p.http().Rest() > 0 }

// dry reports whether a peer must wait before it sends.
func (l *Loop) dry(p *peer) bool { return l.cfg.Rate.Limited() && l.quota(p) == 0 }

// charge counts bytes that a peer sends.
func (l *Loop) charge(p *peer, n int) {
	if l.cfg.Rate.Limited() {
		p.aside.bucket.Sent(n)
	}
}

// throttle makes a peer wait whose quota is used up.
func (l *Loop) throttle(p *peer) {
	if l.to.fd > 0 && l.handOver(p) {
		return
	}
	p.aside.throttled = true
	l.throttled.push(&p.turn)
	l.arm(p)
}

// unthrottle continues the peers that have waited.
func (l *Loop) unthrottle() {
	for {
		p := l.throttled.front()
		if p == nil || p.aside.bucket.Again() > l.now.Mono {
			return
		}
		p.turn.remove()
		p.aside.throttled = false
		p.http().Waited(p.aside.bucket.Again()-serve.RateTick, l.now)
		l.ready.push(&p.turn)
	}
}
