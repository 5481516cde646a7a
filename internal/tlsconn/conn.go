// Package tlsconn implements the server's side of one TLS connection without I/O.
//
// Received bytes go in with [Conn.Receive]; [Conn.Next] appends the decrypted plaintext and
// the records to send, and returns the next step; [Conn.Seal] encrypts plaintext into records.
// crypto/tls does the handshake in a coroutine, which is resumed with one complete record at a
// time. After the handshake a TLS 1.3 connection is two secrets and two counters, and can be
// handed over to another process; other connections stay with crypto/tls. A Conn reads no
// clock and no socket.
package tlsconn

import (
	"slices"
	"time"
)

// HandshakeTimeout is the time limit of a handshake, from accept to its end.
const HandshakeTimeout = 10 * time.Second

// maxHandshake is the largest number of bytes that a client may send in a handshake. A hello
// has 0.3 to 2 KiB, a client certificate with its chain a few more.
const maxHandshake = 64 << 10

// Turn holds the caller's buffers for [Conn.Next]. An event loop uses one for all connections;
// appended bytes are valid until the next use.
type Turn struct {
	Plain []byte // plaintext is appended; it never grows if its capacity is PlainSize
	Out   []byte // records to be sent are appended
	// Budget is the number of handshake records that may still be processed in this turn. Each
	// may cost half a millisecond (a signature, a key exchange). Next decrements it, the
	// caller resets it.
	Budget int
}

// PlainSize is a good capacity of Turn.Plain in bytes: two records.
const PlainSize = 2 * maxCiphertext

// Step is what the caller of [Conn.Next] does next, after it has used the plaintext and sent
// the records of the Turn.
type Step uint8

const (
	Read        Step = iota // receive, then call Receive
	More                    // call Next again at once: Turn.Plain was full
	Established             // the handshake is complete, see Info; call Next again at once
	Yield                   // the budget is used up: call Next again in the next turn
	Closed                  // the client has sent close_notify; Seal still works
	Failed                  // see Err; close after sending the records; there is no plaintext
)

type phase uint8

const (
	phaseHello  phase = iota // no complete record yet
	phaseShake               // the handshake
	phaseOpen                // records of application data
	phaseFailed              // nothing more is received or sealed
	phaseLeft                // closed, or handed over to another process
)

// Conn is one connection. It belongs to one goroutine at a time.
type Conn struct {
	cfg     *Config
	in      []byte // received and not used yet; the caller's memory
	held    []byte // the beginning of a record, copied
	began   time.Duration
	shaken  int // bytes received in the handshake
	err     *Error
	info    Info
	phase   phase
	ended   bool  // the client has sent close_notify
	silent  bool  // this side has sent close_notify or a fatal alert
	useless uint8 // records in a row that carried no data

	library *library // crypto/tls: in the handshake, and after it unless this package's record layer takes over
	rd, wr  half     // the record layer, if library is nil after the handshake
	pace    pace
}

// New returns a connection that was just accepted. With a nil cfg its handshake fails with
// ReasonCertificate. now is the time on any monotonic clock, as in the other methods.
func New(cfg *Config, now time.Duration) *Conn {
	return &Conn{cfg: cfg, began: now}
}

// Handshaking reports whether the handshake is under way.
func (c *Conn) Handshaking() bool { return c.phase <= phaseShake }

// Silent reports whether nothing has been received yet.
func (c *Conn) Silent() bool { return c.phase == phaseHello && c.Rest() == 0 }

// Deadline returns the time at which [Conn.Expire] is due; 0: there is none.
func (c *Conn) Deadline() time.Duration {
	if !c.Handshaking() {
		return 0
	}
	return c.began + HandshakeTimeout
}

// Expire fails the connection if its deadline has passed, and reports whether it has.
func (c *Conn) Expire(now time.Duration) bool {
	if !c.Handshaking() || now < c.Deadline() {
		return false
	}
	c.fail(&Error{Reason: ReasonTimeout})
	return true
}

// Err returns why the connection failed; nil if it has not.
func (c *Conn) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Reason returns the reason of Err.
func (c *Conn) Reason() Reason {
	if c.err == nil {
		return ReasonNone
	}
	return c.err.Reason
}

// Info describes the connection once its handshake is done.
func (c *Conn) Info() Info { return c.info }

// Receive takes received bytes. The connection refers to them, and does not change them, until
// [Conn.Hold]. Earlier bytes must be used or held by then. Receive must not be called while
// Next returns Yield.
func (c *Conn) Receive(p []byte) {
	c.in = p
}

// Hold copies the unused bytes given to Receive. The caller may then reuse its buffer. An idle
// connection holds no buffer.
func (c *Conn) Hold() {
	if len(c.in) > 0 {
		c.held, c.in = append(c.held, c.in...), nil
	}
	if len(c.held) == 0 {
		c.held = nil
	}
}

// Rest returns the number of received bytes that are not used yet.
func (c *Conn) Rest() int { return len(c.in) + len(c.held) }

// Next processes what was received and returns the next step.
func (c *Conn) Next(t *Turn) Step {
	start := len(t.Plain)
	for {
		step, again := Failed, false
		switch c.phase {
		case phaseHello, phaseShake:
			step, again = c.shake(t)
		case phaseOpen:
			step, again = c.read(t)
		}
		if again {
			continue
		}
		if step == Failed {
			t.Plain = t.Plain[:start] // a failed connection cannot be answered
		}
		return step
	}
}

// shake processes one record of the handshake.
func (c *Conn) shake(t *Turn) (_ Step, again bool) {
	if c.phase == phaseHello {
		switch known, err := firstBytes(c.front()); {
		case err != nil:
			return c.fail(err), false
		case !known:
			return c.wait(), false
		}
	}
	if c.cfg == nil {
		return c.fail(&Error{Reason: ReasonCertificate}), false
	}
	record := c.record()
	if record == nil {
		return c.wait(), false
	}
	if t.Budget <= 0 {
		c.restore(record)
		return Yield, false
	}
	t.Budget--
	if c.shaken += len(record); c.shaken > maxHandshake || c.library == nil && helloTooLarge(record) {
		return c.fail(&Error{Reason: ReasonTooLarge}), false
	}
	if c.library == nil {
		c.library = newLibrary(c.cfg)
	}
	c.phase = phaseShake
	done, err := c.library.shake(t, record)
	if err != nil {
		return c.fail(err), false
	}
	if !done {
		return 0, true
	}
	c.establish()
	return Established, false
}

// establish completes the handshake.
func (c *Conn) establish() {
	c.phase = phaseOpen
	c.info = c.library.info()
	c.ended = c.info.Protocol == protocolChallenge // RFC 8737 §3: nothing follows
	if rd, wr, ok := c.library.secrets(c.info); ok {
		c.rd, c.wr, c.library = rd, wr, nil
	} else {
		c.library.settle()
	}
}

// read processes one record after the handshake.
func (c *Conn) read(t *Turn) (_ Step, again bool) {
	if c.ended {
		c.in, c.held = nil, nil // RFC 8446 §6.1: data after close_notify is ignored
		return Closed, false
	}
	if cap(t.Plain)-len(t.Plain) < maxCiphertext {
		if len(t.Plain) > 0 {
			return More, false
		}
		t.Plain = slices.Grow(t.Plain, maxCiphertext)
	}
	record := c.record()
	if record == nil {
		return c.wait(), false
	}
	var err *Error
	if c.library != nil {
		c.ended, err = c.library.read(t, record)
	} else {
		err = c.open(t, record)
	}
	if err != nil {
		return c.fail(err), false
	}
	return 0, true
}

// wait copies the beginning of a record, so that the caller need not call Hold before it
// receives again.
func (c *Conn) wait() Step {
	c.Hold()
	return Read
}

// fail ends the connection with an error.
func (c *Conn) fail(err *Error) Step {
	c.err, c.phase = err, phaseFailed
	c.wipe()
	return Failed
}

// wipe discards all keys.
func (c *Conn) wipe() {
	if c.library != nil {
		c.library.stop()
		c.library = nil
	}
	c.rd, c.wr = half{}, half{}
	c.in, c.held = nil, nil
}

// CloseNotify appends the close_notify alert. Nothing can be sealed after it; records from the
// client can still be read.
func (c *Conn) CloseNotify(out []byte) []byte {
	if c.phase != phaseOpen || c.silent {
		return out
	}
	c.silent = true
	if c.library != nil {
		return c.library.closeNotify(out)
	}
	return c.wr.seal(out, []byte{alertWarning, byte(alertCloseNotify)}, typeAlert)
}

// Close ends the connection in any state, before the socket is closed. It returns the reason
// of Err if there is one, [ReasonTruncated] in a handshake, [ReasonUnclosed] if the client has
// not sent close_notify (browsers never do), or else [ReasonNone]. A connection that has begun
// its handshake leaks a coroutine unless it is closed.
func (c *Conn) Close() Reason {
	reason := c.Reason()
	switch {
	case reason != ReasonNone || c.phase == phaseLeft:
	case c.phase == phaseHello && c.Rest() == 0:
	case c.Handshaking():
		reason = ReasonTruncated
	case !c.ended && !c.silent:
		reason = ReasonUnclosed
	}
	c.phase = phaseLeft
	c.wipe()
	return reason
}
