package netpoll

import (
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/proxyproto"
	"phalanx/internal/serve"
)

// The connections of some clients begin with a header of the PROXY protocol, which says
// whose they are. This file takes it before all else.

// introduce takes what was received as that header, or the next part of it, and leaves what
// comes behind it in the buffer. It returns false if the session has ended.
func (s *session) introduce() bool {
	got := (*s.buf)[:s.n]
	s.header = append(s.header, got...)
	h, n, reason := proxyproto.Parse(s.header)
	if reason != proxyproto.ReasonNone {
		s.unproxied(reason)
		return false
	}
	if n == 0 {
		s.n = 0
		return true
	}
	s.n = copy(got, s.header[n:])
	s.header, s.expects, s.recvDeadline = nil, false, 0
	if !h.Own() && !s.attribute(h) {
		return false
	}
	if s.secured {
		s.encrypt()
		s.begin()
	}
	return true
}

// attribute notes whose connection it is. It returns false if that client has too many.
func (s *session) attribute(h proxyproto.Header) bool {
	client := serve.ClientOf(h, *s.client)
	counted, ok := s.engine.admit(&client)
	if !ok {
		return false
	}
	s.engine.mu.Lock()
	s.client, s.counted = &client, counted
	s.engine.mu.Unlock()
	s.http1.From(&client)
	s.log.Proxied(client)
	return true
}

// unproxied counts a header that is refused.
func (s *session) unproxied(reason proxyproto.Reason) {
	s.tally.Unproxied(reason, *s.client)
	s.log.Unproxied(reason)
}

// headerTimes reports whether the header's deadline counts. A client that has not sent
// anything has only the time of an idle one while the worker drains.
func (s *session) headerTimes() bool {
	return s.expects && (len(s.header) > 0 || s.conn.Timer() != conn.TimerGrace)
}

func (s *session) headerDeadline() time.Duration { return s.http1.View().Since + conn.HeadTimeout }
