package netpoll

import (
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/proxyproto"
	"phalanx/internal/serve"
)

// This file receives the PROXY header at the beginning of a connection.

// introduce processes received bytes as the PROXY header or its next part, and leaves the
// bytes after the header in the buffer. It returns false if the session has ended.
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

// attribute sets the client that the header names. It returns false if that client is over its
// limit of connections.
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

// unproxied counts and logs a refused header.
func (s *session) unproxied(reason proxyproto.Reason) {
	s.tally.Unproxied(reason, *s.client)
	s.log.Unproxied(reason)
}

// headerTimes reports whether the deadline of the PROXY header applies. While the worker
// drains, it does not apply to a client that has sent nothing, which is treated as idle.
func (s *session) headerTimes() bool {
	return s.expects && (len(s.header) > 0 || s.conn.Timer() != conn.TimerGrace)
}

func (s *session) headerDeadline() time.Duration { return s.http1.View().Since + conn.HeadTimeout }
