// Package tlsconn is one TLS connection's life without I/O, on the server's side.
//
// Received bytes go in with [Conn.Receive]; [Conn.Next] appends the plaintext
// that they contain and the records to send, and returns the next step;
// [Conn.Seal] turns plaintext into records. crypto/tls does the handshake, in a
// coroutine that is resumed with one whole record at a time and ends with the
// handshake. A connection of TLS 1.3 is then only two secrets and two counters,
// which can move to another process; every other connection stays
// with crypto/tls. A Conn reads no clock and knows no socket.
package tlsconn

import (
	"slices"
	"time"
)

// HandshakeTimeout bounds a handshake, from the connection's first moment to its
// end.
const HandshakeTimeout = 10 * time.Second

// maxHandshake bounds the bytes that a client sends before it has proved
// anything: 64 KiB. A hello has 0.3 to 2 KiB, a client's certificate with its
// chain a few more.
const maxHandshake = 64 << 10

// Turn is what a caller lends to [Conn.Next]. A loop has one for all its
// connections; what was appended is valid until the caller uses it again.
type Turn struct {
	Plain []byte // plaintext is appended; it never grows if its capacity is PlainSize
	Out   []byte // records to be sent are appended
	// Budget is how many records of handshakes may still be taken, each of
	// which may cost half a millisecond (a signature, a key exchange). Next
	// counts it down, the caller resets it.
	Budget int
}

// PlainSize is a useful capacity of Turn.Plain: two whole records.
const PlainSize = 2 * maxCiphertext

// Step is what the caller of [Conn.Next] does next. In every case it first takes
// the plaintext and sends the records of the Turn.
type Step uint8

const (
	Read        Step = iota // receive, then call Receive
	More                    // call Next again at once; there was no more room for plaintext
	Established             // the handshake is done, see Info; call Next again at once
	Yield                   // the budget is used up: call Next again in another turn
	Closed                  // the client has closed its side in good order; Seal still works
	Failed                  // see Err; close after sending. There is no plaintext
)

type phase uint8

const (
	phaseHello  phase = iota // not one record yet
	phaseShake               // the handshake
	phaseOpen                // records of application data
	phaseFailed              // nothing is received or sealed any more
	phaseLeft                // it ended, or continues in another process
)

// Conn is one connection. It belongs to one goroutine at a time.
type Conn struct {
	cfg     *Config
	in      []byte // received and not used yet; borrowed unless it is held
	held    []byte // the beginning of a record, a copy
	began   time.Duration
	shaken  int // bytes of the handshake
	err     *Error
	info    Info
	phase   phase
	ended   bool  // the client has closed its side
	silent  bool  // this side has: nothing is sealed any more
	useless uint8 // records in a row that carried no data

	library *library // crypto/tls: in a handshake, and after it if the record layer cannot take over
	rd, wr  half     // the record layer, if library is nil after the handshake
	pace    pace
}

// New returns a connection that was just accepted. Without a configuration its
// handshake fails because it has no certificate. now is the time on any
// monotonic clock, as everywhere here.
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

// Expire fails the connection if its deadline has passed, and reports whether it
// had.
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

// Receive takes bytes that were received. They are borrowed, and not changed,
// until [Conn.Hold]; all that were given before have been used or held. While
// Next says Yield nothing is received.
func (c *Conn) Receive(p []byte) {
	c.in = p
}

// Hold copies what is left of the bytes given to Receive, whose buffer may be
// used again after it. An idle connection has nothing left, and no buffer.
func (c *Conn) Hold() {
	if len(c.in) > 0 {
		c.held, c.in = append(c.held, c.in...), nil
	}
	if len(c.held) == 0 {
		c.held = nil
	}
}

// Rest is how many received bytes have not been used.
func (c *Conn) Rest() int { return len(c.in) + len(c.held) }

// Next does what it can without the caller.
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
			t.Plain = t.Plain[:start] // it could not be answered
		}
		return step
	}
}

// shake takes one record of the handshake.
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

// read takes one record of application data.
func (c *Conn) read(t *Turn) (_ Step, again bool) {
	if c.ended {
		c.in, c.held = nil, nil // RFC 8446 §6.1: what follows a close is ignored
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

// wait keeps the beginning of a record, so that a caller need not call Hold
// before it receives again.
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

// CloseNotify appends the close_notify alert, which ends this side. Nothing can be
// sealed after it; records from the client can still be read.
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

// Close ends the connection in any state, before the socket is closed. It returns why
// that was too early: [ReasonTruncated] in a handshake,
// [ReasonUnclosed] when the client had not sent close_notify (browsers never
// do), the reason of Err if there is one, or [ReasonNone]. A
// connection that is not closed and has begun its handshake leaks a coroutine.
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
