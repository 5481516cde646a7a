package eventloop

import (
	"math"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
)

// This file bounds the rate at which peers send. One that has sent as much as it may waits
// in a list of its own. All wait for equally long, so the list is in order, and no peer has
// a timer.

// quota returns how many bytes a peer may send now; 0: it has to wait.
func (l *Loop) quota(p *peer) int64 {
	if !l.cfg.Rate.Limited() {
		return math.MaxInt64
	}
	return p.aside.bucket.Allow(l.cfg.Rate, l.now.Mono)
}

// inline reports whether a segment is copied behind what is sent before it, and a quota left
// by that. What is in memory is copied however little is left: only this process can send it.
func inline(s conn.Segment, quota int64) bool {
	return s.Len <= serve.InlineMax && (s.Len <= quota || s.File.Body() != nil)
}

// used reports whether a peer has used its quota up, so that the next response, which it has
// asked for, has to wait: all of it, not only its body.
func used(p *peer, quota int64) bool { return quota <= 0 && p.http().Rest() > 0 }

// dry reports whether a peer has to wait before it sends.
func (l *Loop) dry(p *peer) bool { return l.cfg.Rate.Limited() && l.quota(p) == 0 }

// charge counts bytes that a peer sends.
func (l *Loop) charge(p *peer, n int) {
	if l.cfg.Rate.Limited() {
		p.aside.bucket.Sent(n)
	}
}

// throttle has a peer wait that is dry.
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
