// Package conn is one HTTP connection's life without I/O.
//
// Received bytes go in with [Conn.Receive]; [Conn.Next] says what to do:
// send what it appended to the output buffer and perhaps a segment of a
// file, read more, or end. The caller moves the bytes, reports progress with
// [Conn.Sent] and calls Next again. Keep-alive, pipelining, timeouts and the
// rules of draining are decided only here. A Conn reads no clock and knows no
// socket, so three models, two engines and the tests share it.
package conn

import (
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// File is an open file of the site. Its metadata and its bytes come from the same
// descriptor.
type File interface {
	Size() int64 // bytes
	Modified() proto.Time
	Settled() bool       // whether another change cannot give it that time again
	ContentType() string // with charset
	Coding() proto.Coding
	// Digest is the SHA-256 digest of the content, nil as long as it is not known, and
	// whether the entity tag is made of it.
	Digest() (sum []byte, tagged bool)
	Vary() string          // fields of requests by which the path has other responses; empty: none
	CacheControl() string  // from the rule for its path; empty: the default
	Entity() *proto.Entity // cache of the file's header fields, filled by the connection
	// Body and Fd say where the bytes are: in memory, if Body is not nil, else
	// behind a descriptor that is open for reading. Only the caller uses them,
	// not the Conn.
	Body() []byte
	Fd() int // -1 if Body is not nil
	Close()
}

// Stream is a body of unknown length that is made while it is sent.
type Stream interface {
	ContentType() string
	// FileName is the name under which a client is to save the bytes; empty: it may
	// show them.
	FileName() string
	// ETag is the strong validator of the bytes, once they are prepared; nil: they
	// have none.
	ETag() []byte
	// Prepare does a bounded part of the work before the response can begin, and
	// reports whether that was all. Any status but 200 is the error response.
	Prepare() (ready bool, s proto.Status)
	// Append appends a bounded number of bytes, perhaps none, after a bounded
	// amount of work, and reports whether that was all. An error truncates the
	// response.
	Append(dst []byte) (_ []byte, done bool, err error)
	// Await calls wake once, from any goroutine, when Prepare or Append have more to
	// do, or when the stream is closed; false: they have already.
	Await(wake func()) bool
	Close()
}

// Site finds the content for a request.
type Site interface {
	// Open finds the file for a path as it stood in the request, still
	// percent-encoded and without query; empty stands for "/". With 200 comes
	// the file, which the caller closes. 301 says that the path is a
	// directory and lacks its slash, 308 that the file has a path that is cleaner
	// ([cleaned]). 401 says that access does not grant what the file needs, which is
	// noted there, for this as for all else. Any other status is the error response.
	Open(path []byte, codings proto.Codings, access *proto.Access) (File, proto.Status)
	// List lists a directory without an index, for which Open said 403, as a
	// page or as JSON; query is the target's, with its "?". Any status but 200
	// is the error response.
	List(path, query []byte, json bool, access *proto.Access) (Stream, proto.Status)
	// Archive makes an archive of a directory, whose path ends in a slash, in a format
	// of Config.Archive. Any status but 200 is the error response.
	Archive(path []byte, format string, access *proto.Access) (Stream, proto.Status)
	// Fallback finds the file that answers a navigation to a path for which Open
	// said 404. Any status but 200 is the error response.
	Fallback(path []byte, codings proto.Codings, access *proto.Access) (File, proto.Status)
	// Page finds the site's own page for an error; false if it has none.
	Page(s proto.Status, access *proto.Access) (File, bool)
	// Rules returns the rules of the site's owner; nil: there are none.
	Rules() *rules.Set
}

// Sites are the sites of a server that has several.
type Sites interface {
	// Find returns the site for the host of a request, as [proto.Request.Host] has it, and
	// its number among those configured. nil: no site answers for that host. An exchange
	// asks once and keeps what it got.
	Find(host []byte) (Site, int)
	// Done is told what Find has returned when the exchange has ended.
	Done(Site, int)
}

// Config is what connections have in common. Those that share one belong to one
// goroutine at a time; a copy made before its use is for another.
type Config struct {
	Site      Site          // for all hosts, unless there are Sites
	Sites     Sites         // by the host of the request; nil: there is one site
	Server    string        // the Server field's value
	KeepAlive time.Duration // idle timeout of a connection
	// MinRate is how many bytes a second a client has to take of a response, averaged
	// over SendTimeout, up to MaxRate; 0: any. One that sends so many of a request's
	// body, averaged over HeadTimeout, has longer than HeadTimeout for it.
	MinRate  int
	Expires  time.Duration // freshness lifetime of a file
	Single   bool          // close after the first reply (the serial model)
	HTTP2    bool          // take HTTP/2's preface on connections in the clear; see [Switch]
	List     bool          // list directories without an index
	Fallback bool          // answer navigation to unknown paths with a file
	// Archive returns the format of the archive of a directory that a query asks for,
	// empty if it asks for none; nil: there are none.
	Archive func(query []byte) string
	CORS    bool          // let scripts of all origins read responses
	Header  []string      // "Name: value" for every reply
	HSTS    time.Duration // Strict-Transport-Security on secure connections; 0: without
	// SecurePort is the port to which requests in the clear are redirected, but for
	// those of [Conn.Local]; 0: they are answered.
	SecurePort uint16
	// Challenges are what a certificate authority is answered (RFC 8555 §8.3), by
	// token, however it asks.
	Challenges map[string]string
	// Credentials, "user:password", are asked for of each client that wants a file;
	// empty: of none.
	Credentials string
	// Passwords know whose credentials a site's protected parts need; nil: it has none.
	Passwords Passwords
	// Trust says which proxies name the client of a request in a header field; nil: none do.
	Trust *clientip.Trust
	// Access says whose requests are answered; nil: everybody's.
	Access *clientip.Access
	// Prefix is in front of every path, "/" and a name: without it there is nothing, not
	// even the site's own error pages. Empty: there is none.
	Prefix string
	// ID appends an id that no other request has; nil: requests have none. One
	// that the client sends is taken if it is valid.
	ID func(dst []byte) []byte

	spare   []*Exchange // ended ones, to be used again
	match   rules.Match // of the request that is being answered
	private []byte      // memory for a head that is being changed
}

// Step is what the caller of [Conn.Next] does next. In every case it first
// sends what is in the output buffer.
type Step uint8

// The steps.
const (
	Read   Step = iota // receive, then call Receive
	Send               // send the Segment and report it with Sent
	Flush              // nothing more: the buffer is full enough to be sent
	Await              // nothing more until [Conn.Await] says so
	Linger             // shut the sending side down and discard until EOF
	Close              // close
	Reset              // close without delivering what is still unsent
	// Switch: the client speaks HTTP/2, by prior knowledge. What it has sent is
	// Unused, and another kind of connection takes it.
	Switch
)

// Segment is a part of a file that is to be sent.
type Segment struct {
	File     File
	Off, Len int64
}

// phase is where in its life a connection is.
type phase uint8

const (
	phaseIdle   phase = iota // nothing of the next request has been received
	phaseHead                // a part of a head has
	phaseBody                // a request body is being read away
	phaseLate                // a request has not been completed in time
	phaseClear               // one in the clear came where TLS is spoken
	phaseReply               // a response is being found, made or sent
	phaseLinger              // the last reply has been sent; the client may still send
	phaseClosed
	phaseAborted // closed from outside
	phaseReset
)

// Conn is one connection. It belongs to one goroutine at a time.
type Conn struct {
	reply Reply // its exchanges, one after the other

	phase    phase
	borrowed bool // in belongs to the caller
	draining bool
	finishes bool  // it ends with the next response
	fresh    bool  // it may turn out to speak HTTP/2
	unsent   int32 // bytes of a response that the socket has not taken yet
	pace     Pace  // of the response, or of the request's body

	parser proto.Parser
	since  time.Duration // when the current phase, or its last progress, began
	began  time.Duration // when the request's first byte came
	drain  time.Duration // when draining began
	in     []byte        // received and not yet used
}

// New returns a connection that has just been accepted. obs may be nil.
func New(cfg *Config, obs Observer, now Now) Conn {
	return Conn{reply: NewReply(cfg, obs), since: now.Mono, fresh: cfg.HTTP2}
}

// Secure says that the connection's bytes are encrypted on their way, before
// anything is received.
func (c *Conn) Secure() {
	c.reply.Secure()
	c.fresh = false // TLS says what is spoken (RFC 9113 §3.2)
}

// From says whose connection it is, before anything is received; nil: that is not known.
// The address must not change.
func (c *Conn) From(client *clientip.Addr) { c.reply.From(client) }

// Client returns what From said.
func (c *Conn) Client() *clientip.Addr { return c.reply.client }

// Local says that the connection comes through a unix socket, before anything is
// received: from a proxy, which has decided about TLS. So it is not redirected.
func (c *Conn) Local() { c.reply.Local() }

// FromHere reports whether Local was said.
func (c *Conn) FromHere() bool { return c.reply.local }

// InClear says that a client has sent a request in the clear to a port for TLS: Next
// answers it, in the clear, and the connection ends.
func (c *Conn) InClear() { c.phase, c.began, c.reply.secure = phaseClear, c.since, false }

// Receive takes bytes that were received, at least one. They are borrowed
// until [Conn.Hold].
func (c *Conn) Receive(p []byte, now Now) {
	if c.phase == phaseIdle {
		c.begin(now)
	}
	if len(c.in) == 0 {
		c.in, c.borrowed = p, true
		return
	}
	c.in = append(c.in, p...)
}

func (c *Conn) begin(now Now) {
	c.phase, c.since, c.began = phaseHead, now.Mono, now.Mono
}

// Hold copies what is left of the bytes given to Receive, whose buffer may
// be used again after it.
func (c *Conn) Hold() {
	switch {
	case len(c.in) == 0:
		c.in = nil
	case c.borrowed:
		c.in = append([]byte(nil), c.in...)
	}
	if c.borrowed && c.reply.x != nil {
		c.reply.x.hold()
	}
	c.borrowed = false
}

// flushAt is the size in bytes at which collected replies to pipelined
// requests are sent before more are made.
const flushAt = 64 << 10

// Next does what it can without the caller, appends the bytes to send to out, and
// returns it with the step to take.
func (c *Conn) Next(out []byte, now Now) ([]byte, Step) {
	for {
		switch c.phase {
		case phaseReply:
			var step Step
			if out, step = c.nextContent(out, now); step != Close {
				return out, step
			}
		case phaseIdle, phaseHead:
			if len(c.in) == 0 {
				return out, Read
			}
			if c.phase == phaseIdle {
				c.begin(now)
			}
			if c.fresh {
				switch match(c.in) {
				case prefaceBegun:
					return out, Read
				case prefaceWhole:
					return out, Switch
				}
				c.fresh = false
			}
			switch c.parser.Parse(c.in) {
			case proto.NeedMore:
				return out, Read
			case proto.Refused:
				out = c.refuseMalformed(out, now)
			default:
				out = c.headDone(out, now)
			}
		case phaseBody:
			var more bool
			if out, more = c.discard(out, now); more {
				return out, Read
			}
		case phaseLate, phaseClear:
			out = c.refuseUnread(out, now)
		case phaseLinger:
			return out, Linger
		case phaseClosed, phaseAborted:
			return out, Close
		default:
			return out, Reset
		}
		if len(out) >= flushAt {
			return out, Flush
		}
	}
}

// nextContent continues the response under way. The step Close says that it has ended.
func (c *Conn) nextContent(out []byte, now Now) ([]byte, Step) {
	switch c.reply.phase {
	case replySend:
		out, step := c.reply.Next(out, now)
		if step == Close {
			c.finish(now)
		}
		return out, step
	case replyPrepare:
		out = c.reply.Prepare(out, now)
		if x := c.reply.x; x != nil && x.unused > 0 && x.check == nil {
			c.in, x.unused = c.in[x.unused:], 0
		}
		if c.since = now.Mono; c.reply.Pending() {
			return out, Await
		}
		return out, Close
	}
	return c.nextChunk(out, now)
}

// Segment returns the part of a file that the step Send is about.
func (c *Conn) Segment() Segment { return c.reply.segment }

// Left is how many bytes of files the reply under way still has to send.
func (c *Conn) Left() int64 { return c.reply.Left() }

// Sent reports that n bytes of the segment were sent.
func (c *Conn) Sent(n int64, now Now) {
	c.reply.Sent(n)
	c.took(n, now)
}

// finish ends a reply whose last byte has been handed over.
func (c *Conn) finish(now Now) {
	closing := c.reply.x.Closing
	c.reply.Finish()
	c.parser.Reset()
	c.began, c.since = now.Mono, now.Mono
	switch {
	case closing == Persistent:
		c.phase = phaseIdle
	case closing.lingers() || len(c.in) > 0:
		c.phase = phaseLinger
	default:
		c.phase = phaseClosed
	}
}

// Linger replaces the step Close when the caller knows that there are bytes
// left to receive: closing now would reset the connection, and what the client
// has not read yet of the reply would be lost (RFC 9112 §9.6).
func (c *Conn) Linger(now Now) Step {
	c.phase, c.since = phaseLinger, now.Mono
	return Linger
}

// Abort ends the connection from outside: the socket failed, the client is
// gone, or the file has become shorter than announced. The cause goes to the
// observer when it truncates a response.
func (c *Conn) Abort(cause error) {
	c.reply.Abort(cause)
	c.Leave()
	c.phase = phaseAborted
}

// Leave ends a connection that continues in another worker; the observer is not
// called.
func (c *Conn) Leave() {
	c.reply.Leave()
	c.parser.Reset()
	c.in, c.phase = nil, phaseClosed
}
