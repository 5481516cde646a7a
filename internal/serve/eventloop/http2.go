package eventloop

import (
	"phalanx/internal/conn"
	"phalanx/internal/h2"
	"phalanx/internal/serve"
)

// http2 is the state of a peer that uses HTTP/2.
type http2 struct {
	conn  *h2.Conn
	waker *waker
}

// http returns the peer's HTTP/1.1 or HTTP/2 connection.
func (p *peer) http() serve.Protocol {
	if p.aside != nil && p.aside.http2.conn != nil {
		return p.aside.http2.conn
	}
	return &p.http1
}

// speaksHTTP2 reports whether the peer uses HTTP/2.
func (p *peer) speaksHTTP2() bool { return p.aside != nil && p.aside.http2.conn != nil }

// interrupted reports whether the client may have sent frames that must be handled before
// the next frame is sent: it may have reset a stream, or requested something more urgent.
// Once the client has closed its side, the remaining responses are sent first.
func (p *peer) interrupted() bool {
	return (p.readable || p.more) && !p.hungUp && p.speaksHTTP2() && p.aside.http2.conn.Receives()
}

// speakHTTP2 switches a peer that has sent no response yet from HTTP/1.1 to HTTP/2.
func (l *Loop) speakHTTP2(p *peer) {
	w := &waker{p}
	if l.http2 == nil {
		l.http2 = h2.NewConfig(&l.cfg.Conn, l.limits.Streams)
	}
	c := h2.New(l.http2, &p.http1, func() { l.woke.put(w) }, l.now)
	if l.draining {
		c.Drain(l.now) // it cannot move to another worker
	}
	p.beside().http2 = http2{c, w}
}

// proceed makes a peer continue, also if it waits to receive: it may have something to send.
func (l *Loop) proceed(p *peer) {
	if p.step == conn.Read {
		p.step = conn.Flush
	}
	if !p.fetching {
		l.later(p)
	}
}

// endHTTP2 forgets the HTTP/2 of a peer that ends, and counts why.
func (l *Loop) endHTTP2(p *peer) {
	if p.speaksHTTP2() {
		p.aside.http2.waker.peer = nil
		l.tally.Misused(p.aside.http2.conn.Reason())
	}
}

// waker lets any goroutine continue an HTTP/2 peer with streams that wait for responses which
// other goroutines make. It outlives the peer.
type waker struct{ peer *peer } // nil once the peer has ended; used by the loop only

// wakeUp continues the peers that were woken.
func (l *Loop) wakeUp() {
	for _, w := range l.woke.take() {
		if w.peer != nil {
			l.proceed(w.peer)
		}
	}
}
