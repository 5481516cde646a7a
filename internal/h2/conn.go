// Package h2 is one HTTP/2 connection's life without I/O (RFC 9113).
//
// A [Conn] has the methods of [conn.Conn], with which it shares what HTTP is: each stream
// has a [conn.Reply]. What is HTTP/2's own is here: frames, streams, the two
// flow-control windows, priorities (RFC 9218), what a client may waste, and the end of a
// connection. Bytes go in with [Conn.Receive], frames come out of [Conn.Next].
package h2

import (
	"encoding/binary"
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/h2/hpack"
)

// Config is what connections have in common. Those that share one belong to one
// goroutine at a time.
type Config struct {
	http    *conn.Config
	bounds  *Bounds
	spare   []*stream   // ended ones, to be used again
	lists   [][]*stream // empty ones
	scratch hpack.Scratch
	request request
	head    []byte // of the response that is being translated
}

// NewConfig returns a configuration for connections whose responses are those of an
// HTTP/1.1 connection with another.
func NewConfig(http *conn.Config, bounds *Bounds) *Config {
	return &Config{http: http, bounds: bounds}
}

type phase uint8

const (
	phasePreface phase = iota // the client's preface has not been complete
	phaseOpen
	phaseFailed // a GOAWAY with an error is to be sent
	phaseDone   // a GOAWAY without one is, and nothing else
	phaseLinger // that was sent; the client may still send
	phaseClosed
	phaseAborted // closed from outside
	phaseReset
)

// Conn is one connection. It belongs to one goroutine at a time.
type Conn struct {
	cfg   *Config
	reply conn.Reply // what the streams' begin as
	wake  func()

	phase    phase
	borrowed bool // in belongs to the caller
	greeted  bool // the server's preface was sent
	settled  bool // the client's first SETTINGS frame has come
	parting  bool // the client has sent GOAWAY
	finishes bool // it ends with the next response
	draining bool
	warned   bool // GOAWAY was sent, which announces another
	final    bool // GOAWAY was sent with the last stream

	active      bool // streams have been open since it was idle
	prioritized bool // the client has spoken of priorities, or knows them
	code        Code
	reason      Reason
	calm        Reason // why the budget is empty; ReasonNone: it is not

	in    []byte        // received and not yet used
	skip  int           // bytes of a payload that are to be discarded
	end   uint32        // the stream whose request ends with them; 0: none
	since time.Duration // when the current state, or its last progress, began
	came  time.Duration // when the first byte of what is incomplete came
	drain time.Duration // when draining began
	swept time.Duration // when the streams were last looked through

	unsent int32     // bytes that the socket has not taken yet
	pace   conn.Pace // of responses

	block         []byte // of a header block that is not complete
	blockStream   uint32 // 0: there is none
	blockEnd      bool   // its request has no content
	continuations uint8

	decoder hpack.Decoder
	encoder hpack.Encoder
	budget  budget

	last      uint32 // the highest stream that the client has opened
	served    uint32 // the highest that is served: last, as the final GOAWAY said it
	opened    uint64 // of the last 64 streams: a bit for each that was opened
	reset     uint64 // a bit for each that was reset by the server, so that more may come
	waiting   int    // streams that wait for what is made beside the connection
	answering int    // streams whose request is complete
	files     int    // streams whose response has a file open
	postponed int    // requests that wait until one of these files is closed
	yield     bool   // others come first

	initial  int64 // window of a new stream
	window   int64 // that the client has opened for the content of all streams
	credit   int32 // of receiveWindow: what the client may still send
	returned int32 // discarded, and not told to the client yet

	streams []*stream // open, by id
	queue   queue
	early   []early

	sending *stream // whose DATA frame is being sent; nil: none
	rest    int64   // bytes of that frame which are still to be sent
}

// New returns a connection of which nothing has been received, not even the preface. obs
// may be nil. wake is called from any goroutine when Next has more to do.
func New(cfg *Config, obs conn.Observer, wake func(), now conn.Now) *Conn {
	return &Conn{
		cfg: cfg, reply: conn.NewReply(cfg.http, obs), wake: wake, since: now.Mono, came: now.Mono, swept: now.Mono,
		decoder: hpack.NewDecoder(), encoder: hpack.NewEncoder(), budget: budget{budgetPoints, now.Mono},
		initial: receiveWindow, window: receiveWindow, credit: receiveWindow,
	}
}

// Secure says that the connection's bytes are encrypted on their way, before anything is
// received.
func (c *Conn) Secure() { c.reply.Secure() }

// From says whose connection it is; see [conn.Conn.From].
func (c *Conn) From(client *clientip.Addr) { c.reply.From(client) }

// Local says that the connection comes through a unix socket; see [conn.Conn.Local].
func (c *Conn) Local() { c.reply.Local() }

// Receive takes bytes that were received, at least one. They are borrowed until
// [Conn.Hold].
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

// Hold copies what is left of the bytes given to Receive, whose buffer may be used again
// after it.
func (c *Conn) Hold() {
	switch {
	case len(c.in) == 0:
		c.in = nil
	case c.borrowed:
		c.in = append([]byte(nil), c.in...)
	}
	c.borrowed = false
}

// flushAt is the size in bytes at which collected frames are sent before more are made.
const flushAt = 64 << 10

// Next does what it can without the caller, appends the frames to send to out, and
// returns it with the step to take: Send is about a part of a file that ends the frame
// whose header was appended last.
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
		if len(out) >= flushAt {
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

// work does what comes before the responses.
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
		c.awaken()
	}
	if now.Mono-c.swept >= time.Second && len(c.streams) > 0 {
		c.swept = now.Mono
		out = c.sweep(out, now)
	}
	return out
}

// fail ends the connection with an error (RFC 9113 §5.4.1).
func (c *Conn) fail(code Code, r Reason) { c.phase, c.code, c.reason = phaseFailed, code, r }

// Reason returns why the connection was ended because of what the client did.
func (c *Conn) Reason() Reason { return c.reason }

func streamID(p []byte) uint32 { return binary.BigEndian.Uint32(p) & (1<<31 - 1) }
