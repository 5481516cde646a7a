package conn

import (
	"errors"
	"slices"
	"strings"
	"time"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// Timeouts of a connection. Only KeepAlive in [Config] can be configured.
const (
	// HeadTimeout limits the time of a request head from its first byte to its last, and
	// then that of its body; after it, the response is 408.
	HeadTimeout = 10 * time.Second
	// SendTimeout is how long a client may receive nothing of a response.
	SendTimeout = 60 * time.Second
	// LingerTimeout bounds the wait for the client to close after the last
	// response. Without that wait, bytes that it still sends would cause a reset,
	// and the response could be lost (RFC 9112 §9.6). It starts again while the
	// client still receives that response (serve.Queue.Lasts).
	LingerTimeout = 5 * time.Second
	// DrainGrace is how long an idle connection stays open when its worker drains: a request
	// that is on its way is still answered.
	DrainGrace = 300 * time.Millisecond
)

// Now is the current time, as the caller has read it.
type Now struct {
	Mono   time.Duration // monotonic clock
	Second *Second
}

// Second is a second of wall-clock time, with the header fields of responses in that second.
// It is immutable, and connections can share it.
type Second struct {
	Unix    int64  // since 1970
	common  string // fields of every response
	strict  string // Strict-Transport-Security, for connections over TLS; may be empty
	expires string // Expires of a file
	born    string // Last-Modified of a generated response
	stale   string // Expires of a generated response, which is stale at once
	policy  string // Content-Security-Policy of built-in pages; empty if --header has one
}

// NewSecond prepares the second. It is the only place that writes Date,
// Server and Expires.
func (cfg *Config) NewSecond(unix int64) *Second {
	date := string(proto.AppendDate(nil, unix))
	common := proto.AppendField(nil, "Server", cfg.Server)
	common = proto.AppendField(common, "Date", date)
	if !cfg.sets(noSniff) {
		common = append(append(common, noSniff...), "\r\n"...)
	}
	for _, field := range cfg.Header {
		common = append(append(common, field...), "\r\n"...)
	}
	if cfg.CORS {
		common = append(common, corsFields...)
	}
	expires := proto.AppendDate(nil, unix+int64(cfg.Expires/time.Second))
	s := &Second{
		Unix:    unix,
		common:  string(common),
		expires: string(proto.AppendField(nil, "Expires", string(expires))),
		born:    string(proto.AppendField(nil, "Last-Modified", date)),
		// A missing file may exist a second later.
		stale: string(proto.AppendField(nil, "Expires", date)),
	}
	if cfg.HSTS > 0 && !cfg.sets(strictTransport) {
		s.strict = string(proto.AppendInt(nil, strictTransport+": max-age=", int64(cfg.HSTS/time.Second)))
	}
	if !cfg.sets(theme.ErrorPolicy) {
		s.policy = theme.ErrorPolicy
	}
	return s
}

// noSniff keeps browsers from treating a file as a type other than the one it is served as (Fetch
// standard, §3.6).
const noSniff = "X-Content-Type-Options: nosniff"

// sets reports whether the user has set the field.
func (cfg *Config) sets(field string) bool {
	return slices.ContainsFunc(cfg.Header, func(own string) bool { return strings.EqualFold(fieldName(field), fieldName(own)) })
}

// fieldName returns the name in "Name: value".
func fieldName(field string) string {
	name, _, _ := strings.Cut(field, ":")
	return name
}

// corsFields let scripts of all origins read responses, with the fields that a
// download needs (Fetch standard, §3.3).
const corsFields = "Access-Control-Allow-Origin: *\r\n" +
	"Access-Control-Expose-Headers: Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag\r\n"

// preflightFields answer a browser's preflight request (OPTIONS). Authorization is not among
// the request fields that "*" stands for (Fetch standard, §2.2.2).
const preflightFields = "Access-Control-Allow-Methods: " + proto.Allow + "\r\n" +
	"Access-Control-Allow-Headers: *, Authorization\r\n" +
	"Access-Control-Max-Age: 86400\r\n"

// Timer is the kind of a connection's deadline. All deadlines of one kind are equally long, so
// the deadlines of many connections come in the order in which they were set.
type Timer uint8

// The timers.
const (
	TimerIdle   Timer = iota // Config.KeepAlive
	TimerGrace               // DrainGrace
	TimerHead                // HeadTimeout
	TimerSend                // SendTimeout
	TimerLinger              // LingerTimeout
	TimerNone                // the connection has ended; due at once
	NumTimers
	// TimerRate is returned by Expire for TimerSend if the client has received bytes, but
	// fewer than the minimum rate requires.
	TimerRate = NumTimers + 1
)

// Timer returns the kind of the current deadline.
func (c *Conn) Timer() Timer {
	if c.unsent > 0 && c.phase != phaseReset {
		// Also after the last response: its last bytes still have to arrive.
		return TimerSend
	}
	switch c.phase {
	case phaseIdle:
		switch {
		case len(c.in) > 0:
			return TimerSend // the next request has been received
		case c.draining:
			return TimerGrace
		}
		return TimerIdle
	case phaseHead, phaseBody:
		return TimerHead
	case phaseReply:
		return TimerSend
	case phaseLinger:
		return TimerLinger
	}
	return TimerNone
}

// Deadline returns the time on Now's monotonic clock at which [Conn.Expire]
// is due, if nothing happens before.
func (c *Conn) Deadline() time.Duration {
	since, timer := c.since, c.Timer()
	if timer == TimerGrace {
		since = max(since, c.drain)
	}
	return since + c.reply.cfg.Timeout(timer)
}

// Timeout returns the length of deadlines of a kind.
func (cfg *Config) Timeout(t Timer) time.Duration {
	return [NumTimers]time.Duration{
		TimerIdle: cfg.KeepAlive, TimerGrace: DrainGrace, TimerHead: HeadTimeout, TimerSend: SendTimeout, TimerLinger: LingerTimeout,
	}[t]
}

// Unsent tells the connection that n bytes of what Next returned have not been sent yet; with
// 0, all have been sent. While there are any, the deadline is that of the client for receiving
// them, whatever comes next, which has its own time from when all have been sent.
func (c *Conn) Unsent(n int, now Now) {
	switch taken := int64(c.unsent) - int64(n); {
	case taken > 0:
		c.took(taken, now)
	case taken < 0 && c.rate() == 0:
		c.since = now.Mono // the bytes are new
	}
	if n == 0 && c.unsent > 0 && c.phase != phaseReply {
		c.since = now.Mono // what comes next has its own time
	}
	c.unsent = int32(n)
}

// Progress notes that the client has received n bytes that were passed to the kernel earlier.
func (c *Conn) Progress(n int64, now Now) {
	if n > 0 {
		c.took(n, now)
	}
}

// Waited extends the current deadline by the time since then, in which the client waited for
// the server.
func (c *Conn) Waited(then time.Duration, now Now) {
	c.since = min(now.Mono, c.since+now.Mono-then)
}

// The causes of a response truncated by SendTimeout.
var (
	ErrSlow = errors.New("the client took no bytes for too long")
	ErrRate = errors.New("the client was below the minimum rate")
)

// Expire checks the deadline against the time now. If it has passed, the next call of Next
// returns how the connection ends, and Expire returns the kind of deadline (for TimerSend,
// perhaps TimerRate); otherwise it returns TimerNone.
func (c *Conn) Expire(now Now) Timer {
	if now.Mono < c.Deadline() {
		return TimerNone
	}
	timer := c.Timer()
	switch timer {
	case TimerIdle, TimerGrace, TimerLinger:
		c.phase = phaseClosed
	case TimerHead:
		c.phase = phaseLate
	case TimerSend:
		cause := ErrSlow
		if c.pace.Begun() {
			timer, cause = TimerRate, ErrRate
		}
		c.Abort(cause)
		c.phase = phaseReset
	}
	return timer
}

// Finish makes the connection end with its next response. Unlike with Drain, an idle
// connection keeps its idle timeout.
func (c *Conn) Finish() { c.finishes = true }

// Drain makes the connection end with its next response, or after a grace period if
// it is idle.
func (c *Conn) Drain(now Now) {
	if !c.draining {
		c.draining, c.drain = true, now.Mono
	}
}
