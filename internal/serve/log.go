package serve

import (
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/logging"
)

// Longest pieces of a client's bytes in a log line. A line must stay shorter
// than PIPE_BUF (4,096 bytes), so that the kernel writes it whole.
const (
	maxLogTarget = 2048
	maxLogHead   = 3072
)

// Done logs a request that has been answered (conn.Observer).
func (s *session) Done(r conn.Record) {
	took := s.w.clock.now().Mono - r.Began
	e := s.w.cfg.Log.Info().
		Str("client", s.client).
		Str("method", logging.Clip(logging.Escape(r.Method), 64)).
		Str("path", logging.Clip(logging.Escape(r.Target), maxLogTarget)).
		Int("status", int(r.Status)).
		Int64("bytes", r.Bytes).
		Float64("ms", float64(took)/float64(time.Millisecond))
	if r.Reason != "" {
		e = e.Str("reason", r.Reason)
	}
	e.Msg("request")
}

// Head logs a request head (conn.Observer).
func (s *session) Head(head []byte) {
	if e := s.w.cfg.Log.Debug(); e.Enabled() {
		e.Str("client", s.client).Str("head", logging.Clip(logging.Escape(head), maxLogHead)).Msg("head")
	}
}

func (s *session) received(n int) {
	if s.client != "" {
		s.w.cfg.Log.Trace().Str("client", s.client).Int("bytes", n).Msg("recv")
	}
}

func (s *session) opened() {
	if s.client != "" {
		s.w.cfg.Log.Debug().Str("client", s.client).Msg("connection opened")
	}
}

func (s *session) closed() {
	if s.client != "" {
		s.w.cfg.Log.Debug().Str("client", s.client).Msg("connection closed")
	}
}
