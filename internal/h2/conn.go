// Package h2 implements the server's side of one HTTP/2 connection without I/O (RFC 9113).
//
// A [Conn] has the methods of [conn.Conn], and each stream uses a [conn.Reply] for its
// response. This package adds what is specific to HTTP/2: frames, streams, flow control,
// priorities (RFC 9218), limits on abuse, and GOAWAY. Received bytes go in with
// [Conn.Receive], frames come out of [Conn.Next].
package h2

import (
	"encoding/binary"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/h2/hpack"
)

// Config is the configuration and the memory that connections share. All connections of a
// Config belong to one goroutine at a time.
type Config struct {
	http    *conn.Config
	bounds  *Bounds
	spare   []*stream   // free list
	lists   [][]*stream // free list
	scratch hpack.Scratch
	request request
	head    []byte // of the response that is being encoded
}

// NewConfig returns a configuration for connections that respond as HTTP/1.1 connections with
// the configuration http do.
func NewConfig(http *conn.Config, bounds *Bounds) *Config {
	return &Config{http: http, bounds: bounds}
}

type phase uint8

const (
	phasePreface phase = iota // the client's preface is not complete
	phaseOpen
	phaseFailed // a GOAWAY frame with an error is to be sent
	phaseDone   // a GOAWAY frame without an error is to be sent, and nothing else
	phaseLinger // GOAWAY was sent; what the client still sends is discarded
	phaseClosed
	phaseAborted // closed from outside
	phaseReset
)

// Conn is one connection. It belongs to one goroutine at a time.
type Conn struct {
	cfg   *Config
	reply conn.Reply // template of the streams' replies
	wake  func()

	phase    phase
	borrowed bool // in belongs to the caller
	greeted  bool // the server's preface was sent
	settled  bool // the client's first SETTINGS frame was received
	acked    bool // the client knows the server's settings
	parting  bool // the client has sent GOAWAY
	finishes bool // drain after the next response
	draining bool
	warned   bool // the first GOAWAY of a graceful shutdown was sent
	final    bool // the second one was sent, with the last stream

	active      bool // streams were opened since the connection was last idle
	prioritized bool // the client uses RFC 9218 priorities
	code        Code
	reason      Reason
	calm        Reason // why the budget is exhausted; ReasonNone: it is not

	in    []byte        // received and not yet used
	skip  int           // bytes of a payload that are to be discarded
	end   uint32        // the stream whose request ends after skip bytes; 0: none
	body  bool          // they are of a request's content
	since time.Duration // when the current state, or its last progress, began
	came  time.Duration // when the first byte of the incomplete frame or header block was received
	drain time.Duration // when draining began
	swept time.Duration // when sweep was last called
	tail  time.Duration // when the connection began to linger, or its client last made progress since

	unsent int32     // bytes that are not yet written to the socket
	pace   conn.Pace // of responses
	upload conn.Pace // of requests' content

	block         []byte // of a header block that is not complete
	blockStream   uint32 // 0: there is none
	blockEnd      bool   // its request has no content
	continuations uint8

	decoder hpack.Decoder
	encoder hpack.Encoder
	budget  budget

	last      uint32 // the highest stream that the client has opened
	served    uint32 // the highest that is served, as sent in the final GOAWAY
	opened    uint64 // one bit for each of the last 64 streams: it was opened
	reset     uint64 // likewise: the server reset it, so that frames for it may still arrive
	waiting   int    // streams that wait for another goroutine
	answering int    // streams whose request is complete
	files     int    // streams whose response has a file open
	postponed int    // requests that wait for a file of any connection to be closed
	used      int    // bytes of the streams' heads and generated content
	yield     bool   // return to the loop so that other connections are served

	initial  int64 // window of a new stream
	window   int64 // that the client has opened for the content of all streams
	credit   int32 // bytes of receiveWindow that the client may still send
	returned int32 // discarded bytes, not yet returned by WINDOW_UPDATE

	streams []*stream // open, by id
	queue   queue
	early   []early

	sending *stream // whose DATA frame is being sent; nil: none
	rest    int64   // bytes of that frame that are still to be sent
	made    int64   // content of all DATA frames so far in bytes
	got     int64   // how much of it the client had acknowledged at the last call of Queued, or less
}

// New returns the connection that takes over from old, which has sent no response and may have
// received a part of the preface. wake is called from any goroutine when Next has more to do.
func New(cfg *Config, old *conn.Conn, wake func(), now conn.Now) *Conn {
	b := budget{points: budgetPoints, since: now.Mono, endless: old.FromProxy()}
	reply, early := old.Switch()
	c := &Conn{
		cfg: cfg, reply: reply, wake: wake, since: now.Mono, came: now.Mono, swept: now.Mono,
		decoder: hpack.NewDecoder(), encoder: hpack.NewEncoder(), budget: b,
		initial: receiveWindow, window: receiveWindow, credit: receiveWindow,
	}
	if len(early) > 0 {
		c.Receive(early, now)
	}
	return c
}

// Receive takes received bytes, at least one. The connection refers to them until [Conn.Hold].
func (c *Conn) Receive(p []byte, now conn.Now) {
	if !c.partial() {
		c.came = now.Mono
	}
	if len(c.in) == 0 {
		c.in, c.borrowed = p, true
		return
	}
	if c.borrowed {
		c.Hold()
	}
	c.in = append(c.in, p...)
}

// Hold copies the unused bytes given to Receive. The caller may then reuse its buffer.
func (c *Conn) Hold() {
	switch {
	case len(c.in) == 0:
		c.in = nil
	case c.borrowed:
		c.in = append([]byte(nil), c.in...)
	}
	c.borrowed = false
}

// Next processes what was received, appends the frames to send to out, and returns out with
// the step that the caller takes next. Send stands for a part of a file: the payload of the
// DATA frame whose header was appended last.
func (c *Conn) Next(out []byte, now conn.Now) ([]byte, conn.Step) {
	for {
		if c.rest > 0 {
			return out, conn.Send
		}
		if s := c.sending; s != nil {
			c.sending = nil
			out = c.framed(out, s, now)
		}
		switch c.phase {
		case phasePreface, phaseOpen:
		case phaseLinger:
			return out, conn.Linger
		case phaseClosed, phaseAborted:
			return out, conn.Close
		case phaseReset:
			return out, conn.Reset
		default:
			return c.goAway(out, now), conn.Linger
		}
		if out = c.work(out, now); c.phase > phaseOpen {
			continue
		}
		if len(out) >= conn.FlushAt {
			return out, conn.Flush
		}
		s := c.choose()
		if s == nil {
			if c.over() {
				continue
			}
			c.rested(now)
			return out, conn.Read
		}
		if out = c.serve(out, s, now); c.yield {
			c.yield = false
			return out, conn.Flush
		}
	}
}

// work reads frames and does what is due before responses are sent.
func (c *Conn) work(out []byte, now conn.Now) []byte {
	if !c.greeted {
		c.greeted = true
		out = appendSettings(out)
	}
	c.budget.refill(now.Mono)
	out = c.read(out, now)
	if c.calm != ReasonNone && c.phase <= phaseOpen {
		c.fail(EnhanceYourCalm, c.calm)
	}
	if c.phase > phaseOpen {
		return out
	}
	if c.draining {
		out = c.announce(out, now)
	}
	if c.waiting > 0 {
		c.awaken(now)
	}
	c.resume()
	if now.Mono-c.swept >= time.Second && len(c.streams) > 0 {
		c.swept = now.Mono
		out = c.sweep(out, now)
	}
	return out
}

// fail ends the connection with an error (RFC 9113 §5.4.1).
func (c *Conn) fail(code Code, r Reason) { c.phase, c.code, c.reason = phaseFailed, code, r }

// Reason returns why the server ended the connection on account of the client's behaviour.
func (c *Conn) Reason() Reason { return c.reason }

func streamID(p []byte) uint32 { return binary.BigEndian.Uint32(p) & (1<<31 - 1) }
