// Package conn has the HTTP logic of one connection, without I/O.
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
	Settled() bool       // whether any further change will give it another time
	ContentType() string // with charset
	Coding() proto.Coding
	Copied() bool // whether it is a compressed copy from the cache directory
	// Digest returns the SHA-256 digest of the content, nil until it is known, and whether
	// the entity tag is made of it.
	Digest() (sum []byte, tagged bool)
	Vary() string          // request fields that select among responses for the path; empty: none
	CacheControl() string  // from the rule for its path; empty: the default
	Entity() *proto.Entity // cache of the file's header fields, filled by the connection
	// Body and Fd tell the caller where the bytes are: in memory if Body is not nil,
	// otherwise in the file of a descriptor that is open for reading.
	Body() []byte
	Fd() int // may be -1 if Body is not nil
	Close()
}

// Stream is a body of unknown length that is made while it is sent.
type Stream interface {
	ContentType() string
	// FileName is the name under which a client should save the bytes; empty: it may show
	// them.
	FileName() string
	// ETag returns the strong validator of the bytes once they are prepared; nil: none.
	ETag() []byte
	// Prepare does a bounded part of the work that comes before the response, and reports
	// whether it is complete. Any status but 200 is the error response.
	Prepare() (ready bool, s proto.Status)
	// Append appends a bounded number of bytes, perhaps none, after a bounded amount of
	// work, and reports whether they were the last. An error truncates the response.
	Append(dst []byte) (_ []byte, done bool, err error)
	// Await calls wake once, from any goroutine, when Prepare or Append have more to do, or
	// when the stream is closed. It returns false if they have more to do already.
	Await(wake func()) bool
	Close()
}

// Site finds the content for a request.
type Site interface {
	// Open finds the file for a path as it stands in the request, percent-encoded and
	// without query; an empty path means "/". With 200 it returns the file, which the
	// caller closes. 301 means that the path is a directory's and lacks its slash, 308 that
	// the file has a cleaner path ([cleaned]). 401 means that access does not grant what
	// the file needs. What it needs is always noted in access. Any other status is the
	// error response.
	Open(path []byte, codings proto.Codings, access *proto.Access) (File, proto.Status)
	// List lists a directory without an index file, for which Open returned 403, as a page
	// or as JSON; query is that of the target, with its "?". Any status but 200 is the error
	// response.
	List(path, query []byte, json bool, access *proto.Access) (Stream, proto.Status)
	// Archive makes an archive of a directory, whose path ends with a slash, in a format of
	// Config.Archive. Any status but 200 is the error response.
	Archive(path []byte, format string, access *proto.Access) (Stream, proto.Status)
	// Fallback finds the file that answers navigation to a path for which Open returned 404.
	// Any status but 200 is the error response.
	Fallback(path []byte, codings proto.Codings, access *proto.Access) (File, proto.Status)
	// Page finds the site's own page for an error; false if there is none.
	Page(s proto.Status, access *proto.Access) (File, bool)
	// Rules returns the _redirects and _headers rules of the site; nil: there are none.
	Rules() *rules.Set
}

// Sites are the sites of a server that has several.
type Sites interface {
	// Find returns the site for the host of a request ([proto.Request.Host]), and its number
	// among the configured sites; nil if no site has the host. An exchange calls it once and
	// keeps the result.
	Find(host []byte) (Site, int)
	// Done is called with the result of Find when the exchange has ended.
	Done(Site, int)
}

// Config is the configuration of connections. Connections that share one belong to one
// goroutine at a time; another goroutine needs a copy, made before the first use.
type Config struct {
	Site      Site          // for all hosts, unless there are Sites
	Sites     Sites         // by the host of the request; nil: there is one site
	Server    string        // the Server field's value
	KeepAlive time.Duration // idle timeout of a connection
	// MinRate is the rate in bytes per second at which a client must receive a response,
	// averaged over SendTimeout, up to MaxRate; 0: none. A client that sends a request's
	// body at this rate, averaged over HeadTimeout, may take longer than HeadTimeout for it.
	MinRate  int
	Expires  time.Duration // freshness lifetime of a file
	Single   bool          // close after the first reply (the serial model)
	Alone    bool          // one connection has it, and keeps little memory for its next requests
	HTTP2    bool          // accept HTTP/2 with prior knowledge on connections without TLS; see [Switch]
	List     bool          // list directories without an index
	Fallback bool          // answer navigation to unknown paths with a file
	// Archive returns the archive format that a query requests, empty if it requests none;
	// nil: directories cannot be downloaded.
	Archive func(query []byte) string
	CORS    bool          // let scripts of all origins read responses
	Header  []string      // "Name: value" for every reply
	HSTS    time.Duration // Strict-Transport-Security on secure connections; 0: without
	// SecurePort is the HTTPS port that plain HTTP requests are redirected to, except those
	// of [Conn.Local]; 0: they are served.
	SecurePort uint16
	// Challenges are the responses to HTTP-01 challenges (RFC 8555 §8.3) by token, over HTTP
	// and HTTPS.
	Challenges map[string]string
	// Credentials, "user:password", are required for every file; empty: none are.
	Credentials string
	// Passwords checks credentials for the protected parts of sites; nil: there are none.
	Passwords Passwords
	// Trust has the proxies whose header field names the client; nil: there are none.
	Trust *clientip.Trust
	// Access says which clients are served; nil: all.
	Access *clientip.Access
	// Prefix is in front of every path, "/" and a name. Nothing exists outside it, not even
	// the site's own error pages. Empty: no prefix.
	Prefix string
	// ID appends a unique request id; nil: requests have none. A valid id that the client
	// sends is used instead.
	ID func(dst []byte) []byte

	spare   []*Exchange // ended exchanges, for reuse
	match   rules.Match // buffer for the rules of the current request
	private []byte      // buffer for a head that is being changed
}

// Step is what the caller of [Conn.Next] must do next, after it has sent the output buffer.
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
	// Switch: the client uses HTTP/2 with prior knowledge. An HTTP/2 connection takes over,
	// and the bytes of Unused.
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
	phaseHead                // a part of a head has been received
	phaseBody                // a request body is being discarded
	phaseLate                // a request has not been completed in time
	phaseClear               // a request without TLS came to a TLS port
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
	fresh    bool  // the client may still begin with HTTP/2
	unsent   int32 // bytes of responses that the socket has not accepted yet
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

// Secure marks the connection as one over TLS. Call it before anything is received.
func (c *Conn) Secure() {
	c.reply.secure = true
	c.fresh = false // ALPN selects the protocol (RFC 9113 §3.2)
}

// From sets the client's address, which must not change; nil: it is not known. Call it before
// anything is received.
func (c *Conn) From(client *clientip.Addr) { c.reply.From(client) }

// Client returns the client's address; nil: it is not known.
func (c *Conn) Client() *clientip.Addr { return c.reply.client }

// Local marks the connection as one over a unix socket. Its client is a proxy that has decided
// about TLS, so requests are not redirected to HTTPS. Call it before anything is received.
func (c *Conn) Local() { c.reply.local = true }

// InClear says that a client has sent a request without TLS to a TLS port. Next answers it
// without TLS, and the connection ends.
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

// Hold copies the unused rest of the bytes given to Receive; after that the caller may reuse
// their buffer.
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

// FlushAt is the number of collected bytes of responses to pipelined requests, or of frames, at
// which they are sent before more are made.
const FlushAt = 64 << 10

// Next continues as far as it can without the caller, appends the bytes to send to out, and
// returns out with the next step.
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
				switch begun, whole := MatchPreface(c.in); {
				case whole:
					return out, Switch
				case begun:
					return out, Read
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
		if len(out) >= FlushAt {
			return out, Flush
		}
	}
}

// nextContent continues the response under way. The step Close means that it has ended.
func (c *Conn) nextContent(out []byte, now Now) ([]byte, Step) {
	switch c.reply.phase {
	case replySend:
		out, step := c.reply.Next(out, now)
		if step == Close {
			c.finish(now)
		}
		return out, step
	case replyPrepare:
		c.persist(now) // a drain may have begun meanwhile
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

// Segment returns the part of a file to send in the step Send.
func (c *Conn) Segment() Segment { return c.reply.segment }

// Left returns how many bytes of files the response under way still has to send.
func (c *Conn) Left() int64 { return c.reply.Left() }

// Sent reports that n bytes of the segment were sent.
func (c *Conn) Sent(n int64, now Now) {
	c.reply.Sent(n)
	c.took(n, now)
}

// finish ends a response whose last byte has been passed to the caller.
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

// Linger replaces the step Close if there are bytes left to receive: closing the socket would
// then reset the connection, and the client could lose the end of the response
// (RFC 9112 §9.6).
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

// Switch ends a connection that continues in another version of HTTP, which gets its Reply and
// the bytes that were received and not used.
func (c *Conn) Switch() (r Reply, unused []byte) {
	r, unused = c.reply, c.in
	c.Leave()
	return r, unused
}

// Leave ends a connection that continues elsewhere; the observer is not called.
func (c *Conn) Leave() {
	c.reply.Leave()
	c.parser.Reset()
	c.in, c.phase = nil, phaseClosed
}
