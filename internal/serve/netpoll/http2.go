package netpoll

import (
	"phalanx/internal/conn"
	"phalanx/internal/h2"
)

// speakHTTP2 switches the session from HTTP/1.1 to HTTP/2 before its first response.
func (s *session) speakHTTP2() {
	s.conn = h2.New(h2.NewConfig(&s.cfg, s.engine.limits.Streams), &s.http1, s.wake, s.engine.clock.Now())
	s.tryRecvOnce = func(fd uintptr) { s.recvNow(fd) }
}

// interrupted receives from an HTTP/2 client without blocking between sends, and reports
// whether it received something: the client may have reset a stream or sent a more urgent
// request. End-of-file and errors are left to the next recv.
func (s *session) interrupted() bool {
	if s.heard {
		s.heard = false
		return false
	}
	c, ok := s.conn.(*h2.Conn)
	if !ok || !c.Receives() {
		return false
	}
	s.releaseInput()
	if s.more {
		return true
	}
	s.raw.Control(s.tryRecvOnce)
	if s.err = nil; s.buf == nil {
		return false
	}
	s.log.Bytes(s.n)
	if s.tls != nil {
		s.tls.Receive((*s.buf)[:s.n])
	}
	return true
}

// speaksHTTP2 reports whether the session uses HTTP/2.
func (s *session) speaksHTTP2() bool { return s.conn != &s.http1 }

// wake makes the session continue, because a stream has more to send. It may be called
// from any goroutine.
func (s *session) wake() {
	s.woken.Store(true)
	s.file.SetReadDeadline(past)
}

// tellsDrain reports once that the client must be sent GOAWAY because the worker drains.
func (s *session) tellsDrain() bool {
	if s.drained || !s.speaksHTTP2() || s.engine.drain.Load() == nil {
		return false
	}
	s.drained = true
	return true
}

// next returns what the connection sends next, after a switch to HTTP/2 if need be.
func (s *session) next(out []byte, now conn.Now) ([]byte, conn.Step) {
	out, step := s.conn.Next(out, now)
	if step == conn.Switch {
		s.speakHTTP2()
		out, step = s.conn.Next(out, now)
	}
	return out, step
}

// endHTTP2 counts why the HTTP/2 connection was ended.
func (s *session) endHTTP2() {
	if c, ok := s.conn.(*h2.Conn); ok {
		s.tally.Misused(c.Reason())
	}
}
