package conn

import (
	"errors"
	"slices"
	"strings"
	"time"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// Timeouts of a connection. Users choose only KeepAlive in [Config].
const (
	// HeadTimeout bounds a request head from its first byte to its last, and
	// then its body: 408.
	HeadTimeout = 10 * time.Second
	// SendTimeout is how long a client may take no bytes at all.
	SendTimeout = 60 * time.Second
	// LingerTimeout bounds the wait for the client to close after the last
	// response. Without that wait, bytes that it still sends would cause a reset,
	// and the response could be lost (RFC 9112 §9.6).
	LingerTimeout = 5 * time.Second
	// DrainGrace is the last chance of an idle connection when its worker
	// drains: a request that is on its way is still answered.
	DrainGrace = 300 * time.Millisecond
)

// Now is the current time, as the caller has read it.
type Now struct {
	Mono   time.Duration // monotonic, from any beginning
	Second *Second
}

// Second is a second of the calendar, with the header fields of responses in it. It
// is immutable and can be shared by connections.
type Second struct {
	Unix    int64  // since 1970
	common  string // the fields of every reply
	strict  string // the field of replies on secure connections; may be empty
	expires string // the field that says until when a file is fresh
	born    string // the field that says that a reply was made on the spot
	stale   string // the field that says that it is stale at once
	policy  string // the field of an error page that lets a browser do nothing else; empty if the user has an own
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
		// The file may be there in a second.
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

// noSniff keeps browsers from taking a file for another type than it is
// served as (Fetch standard, §3.6).
const noSniff = "X-Content-Type-Options: nosniff"

// sets reports whether the user has set the field.
func (cfg *Config) sets(field string) bool {
	return slices.ContainsFunc(cfg.Header, func(own string) bool { return strings.EqualFold(fieldName(field), fieldName(own)) })
}

// fieldName is that of "Name: value".
func fieldName(field string) string {
	name, _, _ := strings.Cut(field, ":")
	return name
}

// corsFields let scripts of all origins read responses, with the fields that a
// download needs (Fetch standard, §3.3).
const corsFields = "Access-Control-Allow-Origin: *\r\n" +
	"Access-Control-Expose-Headers: Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag\r\n"

// preflightFields answer a browser's preflight request (OPTIONS).
const preflightFields = "Access-Control-Allow-Methods: " + proto.Allow + "\r\n" +
	"Access-Control-Allow-Headers: *\r\n" +
	"Access-Control-Max-Age: 86400\r\n"

// Timer is the kind of a connection's deadline. All deadlines of one kind are equally
// long, so those of many connections fall due in the order in which they were set.
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
	// TimerRate is returned by Expire for TimerSend if the client has taken bytes, but
	// fewer than the minimum rate asks for.
	TimerRate = NumTimers + 1
)

// Timer returns what the deadline is about now.
func (c *Conn) Timer() Timer {
	if c.unsent > 0 && c.phase != phaseReset {
		// Also when it is over but for that: a last reply still has to arrive.
		return TimerSend
	}
	switch c.phase {
	case phaseIdle:
		if c.draining {
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
	switch c.Timer() {
	case TimerIdle:
		return c.since + c.reply.cfg.KeepAlive
	case TimerGrace:
		return max(c.since, c.drain) + DrainGrace
	case TimerHead:
		return c.since + HeadTimeout
	case TimerSend:
		return c.since + SendTimeout
	case TimerLinger:
		return c.since + LingerTimeout
	}
	return c.since
}

// Unsent tells the connection that n bytes of what Next returned have not been
// sent yet; 0 says that now all have. While there are any, its deadline is
// about the client taking them, whatever comes next.
func (c *Conn) Unsent(n int, now Now) {
	if taken := int64(c.unsent) - int64(n); taken >= 0 {
		c.took(taken, now)
	} else if c.rate() == 0 {
		c.since = now.Mono // they have just been made
	}
	c.unsent = int32(n)
}

// Progress notes that the client has taken n bytes that were handed to the
// kernel earlier.
func (c *Conn) Progress(n int64, now Now) {
	if n > 0 {
		c.took(n, now)
	}
}

// Waited leaves the time since then out of the current deadline: it was the server that
// waited, not the client.
func (c *Conn) Waited(then time.Duration, now Now) {
	c.since = min(now.Mono, c.since+now.Mono-then)
}

// The causes of a response truncated by SendTimeout.
var (
	ErrSlow = errors.New("the client took no bytes for too long")
	ErrRate = errors.New("the client was below the minimum rate")
)

// Expire checks the deadline against the time now. If it has passed, the next call of
// Next returns how the connection ends, and Expire returns the kind of deadline, or
// TimerRate for TimerSend; else TimerNone.
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

// Finish makes the connection end with its next response. Unlike Drain, it leaves an
// idle one its time.
func (c *Conn) Finish() { c.finishes = true }

// Drain makes the connection end with its next response, or after a grace period if
// it is idle.
func (c *Conn) Drain(now Now) {
	if !c.draining {
		c.draining, c.drain = true, now.Mono
	}
}
