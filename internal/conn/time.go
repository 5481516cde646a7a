package conn

import (
	"strings"
	"time"

	"phalanx/internal/proto"
)

// Limits of how long a connection may take. KeepAlive in [Config] is the one
// that users choose.
const (
	// HeadTimeout bounds a request head from its first byte to its last, and
	// then its body: 408.
	HeadTimeout = 10 * time.Second
	// SendTimeout is for how long a client may take no bytes at all.
	SendTimeout = 60 * time.Second
	// LingerTimeout bounds the wait for the client's end after the last
	// reply, so that what it still sends does not reset the reply away
	// (RFC 9112 §9.6).
	LingerTimeout = 5 * time.Second
	// DrainGrace is the last chance of an idle connection when its worker
	// drains: a request that is on its way is still answered.
	DrainGrace = 300 * time.Millisecond
)

// Now is the time as the caller knows it.
type Now struct {
	Mono   time.Duration // monotonic, from any beginning
	Second *Second
}

// Second is a second of the calendar, with what is written into every reply
// in it. It is immutable and can be shared by connections.
type Second struct {
	Unix    int64  // since 1970
	common  string // the fields of every reply
	expires string // the field that says until when a file is fresh
	stale   string // the fields of a reply that was made on the spot
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
	// An error is as old as its reply and stale at once: the file may be
	// there in a second.
	stale := proto.AppendField(nil, "Last-Modified", date)
	stale = proto.AppendField(stale, "Expires", date)
	expires := proto.AppendDate(nil, unix+int64(cfg.Expires/time.Second))
	return &Second{
		Unix:    unix,
		common:  string(common),
		expires: string(proto.AppendField(nil, "Expires", string(expires))),
		stale:   string(stale),
	}
}

// noSniff keeps browsers from taking a file for another type than it is
// served as (Fetch standard, §3.6).
const noSniff = "X-Content-Type-Options: nosniff"

// sets reports whether the user has an own value for the field.
func (cfg *Config) sets(field string) bool {
	name, _, _ := strings.Cut(field, ":")
	for _, own := range cfg.Header {
		if ownName, _, _ := strings.Cut(own, ":"); strings.EqualFold(name, ownName) {
			return true
		}
	}
	return false
}

// corsFields let the scripts of every site read what is served and the
// fields that a download needs (Fetch standard, §3.3).
const corsFields = "Access-Control-Allow-Origin: *\r\n" +
	"Access-Control-Expose-Headers: Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag\r\n"

// preflightFields answer the question that a browser asks by OPTIONS before a
// request of another site's script.
const preflightFields = "Access-Control-Allow-Methods: " + proto.Allow + "\r\n" +
	"Access-Control-Allow-Headers: *\r\n" +
	"Access-Control-Max-Age: 86400\r\n"

// Deadline returns the time on Now's monotonic clock at which [Conn.Expire]
// is due, if nothing happens before.
func (c *Conn) Deadline() time.Duration {
	switch c.phase {
	case phaseIdle:
		if c.draining {
			return min(c.since+c.cfg.KeepAlive, max(c.since, c.drain)+DrainGrace)
		}
		return c.since + c.cfg.KeepAlive
	case phaseHead, phaseBody:
		return c.since + HeadTimeout
	case phaseSend, phaseStream:
		return c.since + SendTimeout
	case phaseLinger:
		return c.since + LingerTimeout
	}
	return c.since
}

// Progress notes that the client has taken bytes that were handed to the
// kernel earlier.
func (c *Conn) Progress(now Now) { c.since = now.Mono }

// Expire tells the connection that the time is now. If its deadline has
// passed, the next call of Next says how it ends.
func (c *Conn) Expire(now Now) {
	if now.Mono < c.Deadline() {
		return
	}
	switch c.phase {
	case phaseIdle, phaseLinger:
		c.phase = phaseClosed
	case phaseHead, phaseBody:
		c.phase = phaseLate
	case phaseSend, phaseStream:
		c.Abort("the client took no bytes for too long")
		c.phase = phaseReset
	}
}

// Drain tells the connection that its worker is about to leave: it gets a
// last reply, or a last chance when it is idle.
func (c *Conn) Drain(now Now) {
	if !c.draining {
		c.draining, c.drain = true, now.Mono
	}
}

// Idle reports whether nothing of a request has been received and no reply
// is under way.
func (c *Conn) Idle() bool { return c.phase == phaseIdle }
