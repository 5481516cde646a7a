package conn

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"phalanx/internal/proto"
)

// A connection can continue in another process: its socket moves as a descriptor,
// and its state as bytes. [Conn.Freeze] writes them and [Thaw] reads them;
// docs/ipc.md has the layout. Times are written as ages, because the clocks of two
// processes start at different times.

// stateVersion is the first byte of a state. Workers hand over only to workers of their own
// version, so another value means a bug.
const stateVersion = 4

// The second byte.
const (
	stateIdle    = iota // only the received bytes follow
	stateSending        // a segment of a file is being sent, or has just been sent, and its exchange follows
	stateEnding         // nothing is sent after the unsent bytes
	numStates
)

// Movable reports whether the connection can be frozen: it waits for a request, has received
// a part of a head, or is sending a file or one range of it. During a request's body, several
// ranges or a listing it cannot.
func (c *Conn) Movable() bool {
	if c.draining {
		return false
	}
	switch c.phase {
	case phaseIdle, phaseHead:
		return true
	case phaseReply:
		return c.reply.phase == replySend && c.reply.x.parts == nil && c.reply.segment.Len > 0
	}
	return false
}

// Freeze appends the state of a connection that is [Conn.Movable], after
// [Conn.Hold], or whose segment has just been sent. unsent are the bytes of its responses that
// the socket has not accepted yet. Freeze does not change the connection; [Conn.Leave] ends it
// here.
func (c *Conn) Freeze(dst, unsent []byte, now Now) []byte {
	state := byte(stateIdle)
	if c.phase == phaseReply && !c.reply.asks() {
		state = stateSending
	}
	dst = append(dst, stateVersion, state)
	dst = appendAge(dst, now.Mono-c.since)
	dst = appendAge(dst, now.Mono-c.began)
	dst = appendBytes(dst, c.in)
	dst = appendBytes(dst, unsent)
	if state == stateIdle {
		return dst
	}
	x, segment := c.reply.x, c.reply.segment
	dst = appendSegment(dst, segment.Off, segment.Len)
	dst = x.append(dst)
	dst = binary.AppendUvarint(dst, uint64(x.Bytes))
	return appendAge(dst, now.Mono-x.Headed)
}

// append appends the fields that do not change once the response has begun.
func (x *Exchange) append(dst []byte) []byte {
	dst = appendBytes(dst, x.Head)
	dst = appendBytes(dst, x.ID)
	dst = appendBytes(dst, x.User)
	dst = append(dst, byte(x.Closing))
	dst = binary.AppendUvarint(dst, uint64(x.Status))
	return binary.AppendUvarint(dst, uint64(x.Size))
}

func appendSegment(dst []byte, off, left int64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(off)), uint64(left))
}

// errState means that bytes are not the state of a connection.
var errState = errors.New("malformed state of a connection")

// Thaw makes a connection from its state, and keeps no reference to it. file is the file being
// sent, nil if there is none or nothing of it is left; it is closed with the connection.
// unsent are the bytes to send before anything else.
func Thaw(cfg *Config, obs Observer, state []byte, file File, now Now) (c Conn, unsent []byte, err error) {
	s := thawing{rest: state}
	version, kind := s.byte(), s.byte()
	c = New(cfg, obs, now)
	c.since = now.Mono - s.age()
	c.began = now.Mono - s.age()
	c.in = s.bytes()
	unsent = s.bytes()
	c.unsent = int32(len(unsent))
	sending := false
	switch {
	case kind == stateSending:
		c.phase, c.reply.phase = phaseReply, replySend
		c.reply.segment = Segment{File: file, Off: s.int(), Len: s.int()}
		s.exchange(&c, now)
		if sending = c.reply.segment.Len > 0; !sending {
			c.reply.segment = Segment{}
			s.bad = s.bad || c.reply.x.Status == 0
		}
		if cfg.MinRate > 0 {
			c.since = now.Mono // it is not known how many bytes of this window have been sent
		}
	case kind == stateEnding:
		c.phase = phaseLinger
	case len(c.in) > 0:
		c.phase = phaseHead
	}
	if s.bad || len(s.rest) > 0 || version != stateVersion || kind >= numStates || sending != (file != nil) {
		return Conn{}, nil, errState
	}
	return c, unsent, nil
}

// exchange reads the exchange under way and parses its head again. Without a head, a worker
// that died began the exchange, and nothing else is known about it.
func (s *thawing) exchange(c *Conn, now Now) {
	head := s.bytes()
	if len(head) > 0 && (c.parser.Parse(head) != proto.Complete || c.parser.Len() != len(head)) {
		s.fail()
		return
	}
	c.open(head)
	x := c.reply.x
	x.ID = append(x.ID, s.bytes()...)
	x.User = s.bytes()
	x.Closing, x.Status, x.Source = Closing(s.byte()), proto.Status(s.int()), SourceFile
	x.Size, x.Bytes = s.int(), s.int()
	x.Headed = now.Mono - s.age()
	s.bad = s.bad || x.Closing >= numClosings || (x.Status == 0) != (len(head) == 0)
}

func appendAge(dst []byte, age time.Duration) []byte {
	return binary.AppendUvarint(dst, uint64(max(0, age)))
}

func appendBytes(dst, p []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(p))), p...)
}

// thawing reads a state from its beginning. After an error it reads only zeros.
type thawing struct {
	rest []byte
	bad  bool
}

func (s *thawing) fail() {
	s.rest, s.bad = nil, true
}

func (s *thawing) byte() byte {
	if len(s.rest) == 0 {
		s.fail()
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

// int reads a number that is not negative.
func (s *thawing) int() int64 {
	v, n := binary.Uvarint(s.rest)
	if n <= 0 || v > math.MaxInt64 {
		s.fail()
		return 0
	}
	s.rest = s.rest[n:]
	return int64(v)
}

func (s *thawing) age() time.Duration { return time.Duration(s.int()) }

// bytes reads a copy, nil if it is empty.
func (s *thawing) bytes() []byte {
	n := s.int()
	if n > int64(len(s.rest)) {
		s.fail()
		return nil
	}
	var p []byte
	p, s.rest = append(p, s.rest[:n]...), s.rest[n:]
	return p
}
