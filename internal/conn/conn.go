// Package conn is one HTTP connection's life without I/O.
//
// Received bytes go in with [Conn.Receive]; [Conn.Next] says what to do:
// send what it appended to the output buffer and perhaps a segment of a
// file, read more, or end. The caller moves the bytes, reports progress with
// [Conn.Sent] and calls Next again. Keep-alive, pipelining, timeouts and the
// rules of draining are decided here and nowhere else. A Conn is told the
// time and never asks; it knows no socket, so that three models, two ways of
// waiting and the tests share it.
package conn

import (
	"time"

	"phalanx/internal/proto"
)

// File is an open file of the site, or of what stands for it. Its metadata
// and its bytes come from the same descriptor.
type File interface {
	Size() int64 // bytes
	Modified() proto.Time
	Settled() bool       // whether another change cannot give it that time again
	ContentType() string // with charset
	Coding() proto.Coding
	Varies() bool          // whether another coding may answer the same path
	CacheControl() string  // what a rule says of its path; empty: the default
	Entity() *proto.Entity // where the connection keeps what it says of the file
	// Body and Fd say where the bytes are, for who sends them: in memory, if Body
	// is not nil, and else behind a descriptor that is open for reading. A Conn
	// asks for neither.
	Body() []byte
	Fd() int // -1 if Body is not nil
	Close()
}

// Stream is a body that is made while it is sent, and whose length nobody
// knows.
type Stream interface {
	ContentType() string
	// Append appends a bounded number of bytes, perhaps none, after a bounded
	// amount of work, and reports whether that was all.
	Append(dst []byte) (_ []byte, done bool)
	Close()
}

// Site finds what a request asks for.
type Site interface {
	// Open finds the file for a path as it stood in the request, still
	// percent-encoded and without query; empty stands for "/". With 200 comes
	// the file, which the caller closes. 301 says that the path is a
	// directory and lacks its slash. Any other status is an error to answer
	// with.
	Open(path []byte, codings proto.Codings) (File, proto.Status)
	// List lists a directory without an index, for which Open said 403, as a
	// page or as JSON; query is the target's, with its "?". Any status but 200
	// is an error to answer with.
	List(path, query []byte, json bool) (Stream, proto.Status)
	// Page finds the site's own page for an error; false if it has none.
	Page(s proto.Status) (File, bool)
}

// Config is what all connections of a worker have in common.
type Config struct {
	Site      Site
	Server    string        // the Server field's value
	KeepAlive time.Duration // for how long an idle connection stays open
	Expires   time.Duration // for how long a file may be taken as fresh
	Single    bool          // close after the first reply (the serial model)
	List      bool          // list directories without an index
	CORS      bool          // let the scripts of every site read what is served
	Header    []string      // "Name: value" for every reply
	Tally     Tally         // counts, if not nil
	// ID appends an id that no other request has; nil: requests have none. One
	// that the client sends is taken if it is valid.
	ID func(dst []byte) []byte
	// Explain, if not nil, is told why each reply is as it is: what is the
	// subject, or with a colon at its end the header field that follows from the
	// decision, and why a sentence without its full stop. It is not for serving.
	Explain func(what, why string)
}

// Step is what the caller of [Conn.Next] does next. In every case it first
// sends what is in the output buffer.
type Step uint8

// The steps.
const (
	Read   Step = iota // receive, then call Receive
	Send               // send the Segment and report it with Sent
	Flush              // nothing more: the buffer is full enough to be sent
	Linger             // shut the sending side down and discard until EOF
	Close              // close
	Reset              // close without delivering what is still unsent
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
	phaseSend                // a reply is being sent
	phaseStream              // a reply is being made and sent
	phaseLinger              // the last reply has been sent; the client may still send
	phaseClosed
	phaseReset
)

// Conn is one connection. It belongs to one goroutine at a time.
type Conn struct {
	cfg *Config

	phase    phase
	borrowed bool // in belongs to the caller
	draining bool
	closing  bool // this reply is the last
	linger   bool // and the client may still be sending
	unsent   bool // the caller has bytes of a reply that the socket did not take

	parser proto.Parser
	upload *upload       // a request body that is being read away; nil at most times
	since  time.Duration // when the current phase, or its last progress, began
	began  time.Duration // when the request's first byte came
	drain  time.Duration // when draining began
	in     []byte        // received and not yet used

	segment Segment
	parts   *multipart // nil unless several ranges are being sent
	long    *long      // nil unless the reply is a long one, or is made while it is sent
	record  *watched   // nil unless there is an observer, or requests have ids
}

// New returns a connection that has just been accepted.
func New(cfg *Config, obs Observer, now Now) Conn {
	c := Conn{cfg: cfg, since: now.Mono}
	if obs != nil || cfg.ID != nil {
		c.record = &watched{obs: obs}
	}
	return c
}

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
	if c.record != nil {
		c.record.again(now.Mono)
	}
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
	c.borrowed = false
}

// flushAt is the size in bytes at which collected replies to pipelined
// requests are sent before more are made.
const flushAt = 64 << 10

// Next goes as far as it can without the caller, appends what is to be sent
// to out, and returns it with the step to take.
func (c *Conn) Next(out []byte, now Now) ([]byte, Step) {
	for {
		switch c.phase {
		case phaseSend:
			if c.segment.Len > 0 {
				return out, Send
			}
			if c.parts != nil {
				mark := len(out)
				out = c.nextPart(out)
				c.count(len(out) - mark)
				continue
			}
			c.finish(now)
		case phaseStream:
			return c.nextChunk(out, now), Flush
		case phaseIdle, phaseHead:
			if len(c.in) == 0 {
				return out, Read
			}
			if c.phase == phaseIdle {
				c.begin(now)
			}
			switch c.parser.Parse(c.in) {
			case proto.NeedMore:
				return out, Read
			case proto.Refused:
				out = c.refuse(out, nil, c.parser.Fault(), now)
			default:
				out = c.headDone(out, now)
			}
		case phaseBody:
			var more bool
			if out, more = c.discard(out, now); more {
				return out, Read
			}
		case phaseLate:
			out = c.refuse(out, c.uploadHead(), late, now)
		case phaseLinger:
			return out, Linger
		case phaseClosed:
			return out, Close
		default:
			return out, Reset
		}
		if len(out) >= flushAt {
			return out, Flush
		}
	}
}

// headDone decides what comes first after a head: the reply, or reading the
// request's body away.
func (c *Conn) headDone(out []byte, now Now) []byte {
	head := c.in[:c.parser.Len()]
	c.in = c.in[len(head):]
	r := c.parser.Request()
	if c.record != nil && c.record.obs != nil {
		c.record.obs.Head(head)
	}
	if c.cfg.Tally != nil {
		c.cfg.Tally.Received(requestLine(r, head), c.began)
	}
	if c.cfg.Explain != nil {
		c.explainHead(r, head)
	}
	if !r.HasBody() {
		return c.answer(out, head, now)
	}
	if !readsBody(r.Method) {
		// The reply is an error whatever the body says.
		c.closing, c.linger = true, true
		c.explain("Connection:", "the request's body is not read: the reply is an error whatever it says")
		return c.answer(out, head, now)
	}
	if r.Length > proto.MaxBody {
		return c.refuse(out, head, tooLong, now)
	}
	c.phase, c.since = phaseBody, now.Mono
	c.upload = &upload{head: append([]byte(nil), head...), left: r.Length}
	c.explain("body", "the request's is read away before the reply: nothing here has a use for it")
	if r.Expect && len(c.in) == 0 {
		c.explain("body", "the client waits for 100 Continue before it sends it (RFC 9110 §10.1.1)")
		out = append(proto.AppendStatusLine(out, proto.StatusContinue), '\r', '\n')
	}
	return out
}

// Segment returns the part of a file that the step Send is about.
func (c *Conn) Segment() Segment { return c.segment }

// Left is how many bytes of files the reply under way still has to send.
func (c *Conn) Left() int64 {
	left := c.segment.Len
	if c.parts != nil {
		for _, part := range c.parts.ranges {
			left += part.Len
		}
	}
	return left
}

// Sent reports that n bytes of the segment were sent.
func (c *Conn) Sent(n int64, now Now) {
	c.segment.Off += n
	c.segment.Len -= n
	c.since = now.Mono
	if c.record != nil {
		c.record.Bytes += n
	}
}

// finish ends a reply whose last byte has been handed over.
func (c *Conn) finish(now Now) {
	c.report()
	if c.cfg.Tally != nil {
		c.cfg.Tally.Done(c.began)
	}
	c.release()
	if c.began = now.Mono; c.record != nil {
		c.record.again(now.Mono)
	}
	c.parser.Reset()
	c.since = now.Mono
	switch {
	case !c.closing:
		c.phase = phaseIdle
	case c.linger || len(c.in) > 0:
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

// count adds bytes of a reply's body that are no part of a file.
func (c *Conn) count(n int) {
	if c.record != nil {
		c.record.Bytes += int64(n)
	}
}

func (c *Conn) report() {
	if c.record != nil && c.record.obs != nil && !c.record.silent {
		c.record.obs.Done(c.record.Record)
	}
}

func (c *Conn) release() {
	if c.segment.File != nil {
		c.segment.File.Close()
	}
	if c.long != nil && c.long.stream != nil {
		c.long.stream.Close()
	}
	c.segment, c.parts, c.upload, c.long = Segment{}, nil, nil, nil
}

// Abort ends the connection from outside: the socket failed, the client is
// gone, or the file has become shorter than announced. The reason goes to
// the log when it cuts a reply short.
func (c *Conn) Abort(reason string) {
	if c.phase == phaseSend || c.phase == phaseStream {
		if c.record != nil {
			c.record.Reason = reason
			c.report()
		}
		if c.cfg.Tally != nil {
			c.cfg.Tally.Cut()
		}
	}
	c.release()
	c.in, c.phase = nil, phaseClosed
}
