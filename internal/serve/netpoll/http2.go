package netpoll

import (
	"phalanx/internal/conn"
	"phalanx/internal/h2"
)

// speakHTTP2 replaces the session's HTTP/1.1, which has answered nothing yet, by HTTP/2.
func (s *session) speakHTTP2() {
	now := s.engine.clock.Now()
	c := h2.New(h2.NewConfig(&s.cfg, s.engine.limits.Streams), s.log.Observer(&s.tally), s.wake, now)
	c.From(s.client)
	if s.tls != nil {
		c.Secure()
	}
	if s.local {
		c.Local()
	}
	if early := s.http1.Unused(); len(early) > 0 {
		c.Receive(early, now)
	}
	s.http1.Leave()
	s.conn = c
	s.tryRecvOnce = func(fd uintptr) { s.recvNow(fd) }
}

// interrupted receives what an HTTP/2 client has sent while its responses are being sent,
// without waiting, and reports whether there is something: the client may have reset a
// stream, or ask for what is more urgent. Its end, and an error, are found by who waits.
func (s *session) interrupted() bool {
	if s.heard {
		s.heard = false
		return false
	}
	c, ok := s.conn.(*h2.Conn)
	if !ok || !c.Receives() {
		return false
	}
	s.giveBackInput()
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

// speaksHTTP2 reports whether the session does.
func (s *session) speaksHTTP2() bool { return s.conn != &s.http1 }

// wake makes the session continue, because a stream has more to send. It may be called
// from any goroutine.
func (s *session) wake() {
	s.woken.Store(true)
	s.file.SetReadDeadline(past)
}

// tellsDrain reports, once, that the client has to be told that the worker drains.
func (s *session) tellsDrain() bool {
	if s.drained || !s.speaksHTTP2() || s.engine.drain.Load() == nil {
		return false
	}
	s.drained = true
	return true
}

// next asks the connection what to send.
func (s *session) next(out []byte, now conn.Now) ([]byte, conn.Step) {
	out, step := s.conn.Next(out, now)
	if step == conn.Switch {
		s.speakHTTP2()
		out, step = s.conn.Next(out, now)
	}
	return out, step
}

// endHTTP2 counts why the client's HTTP/2 has ended.
func (s *session) endHTTP2() {
	if c, ok := s.conn.(*h2.Conn); ok {
		s.tally.Misused(c.Reason())
	}
}
