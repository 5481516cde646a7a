package serve

import (
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/logging"
)

// Longest pieces of a client's bytes in a log line, as they are written there.
// A line must stay shorter than PIPE_BUF (4,096 bytes), so that the kernel
// writes it whole.
const (
	maxLogMethod = 64
	maxLogTarget = 2048
	maxLogHead   = 3072
)

// journal logs what becomes of one connection. A nil journal logs nothing.
type journal struct {
	cfg    *Config
	clock  *clock
	client string // its address
}

// Done logs a request that has been answered (conn.Observer).
func (j *journal) Done(r conn.Record) {
	took := j.clock.now().Mono - r.Began
	var method [maxLogMethod + 16]byte
	var path [maxLogTarget + 16]byte
	e := j.cfg.Log.Info().
		Str("client", j.client).
		RawJSON("method", logging.AppendJSON(method[:0], r.Method, maxLogMethod)).
		RawJSON("path", logging.AppendJSON(path[:0], r.Target, maxLogTarget)).
		Int("status", int(r.Status)).
		Int64("bytes", r.Bytes).
		Float64("ms", float64(took)/float64(time.Millisecond))
	if r.Reason != "" {
		e = e.Str("reason", r.Reason)
	}
	e.Msg("request")
}

// Head logs a request head (conn.Observer).
func (j *journal) Head(head []byte) {
	if e := j.cfg.Log.Debug(); e.Enabled() {
		var text [maxLogHead + 16]byte
		e.Str("client", j.client).RawJSON("head", logging.AppendJSON(text[:0], head, maxLogHead)).Msg("head")
	}
}

func (j *journal) received(n int) {
	if j != nil {
		j.cfg.Log.Trace().Str("client", j.client).Int("bytes", n).Msg("recv")
	}
}

func (j *journal) opened() {
	if j != nil {
		j.cfg.Log.Debug().Str("client", j.client).Msg("connection opened")
	}
}

func (j *journal) moved(how string) {
	if j != nil {
		j.cfg.Log.Debug().Str("client", j.client).Msg(how)
	}
}

func (j *journal) closed() {
	if j != nil {
		j.cfg.Log.Debug().Str("client", j.client).Msg("connection closed")
	}
}
