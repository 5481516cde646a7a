package conn

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"phalanx/internal/proto"
)

// A connection can go on in another process: its socket travels as a
// descriptor, and what this one knows of it as bytes. [Conn.Freeze] writes
// them and [Thaw] reads them; docs/ipc.md has the layout. Times are written as
// ages, for the clocks of two processes begin at different times.

// stateVersion is the first byte of a state. Workers hand over only to their
// own version, so another one means a bug.
const stateVersion = 2

// The second byte.
const (
	stateSending = 1 << iota // a segment of a file is being sent
	stateClosing             // this reply is the last
	stateLinger              // and the client may still be sending
	stateWatched             // what the log will say of the request follows
	stateLong                // what is known of a long reply follows
	stateEnding              // nothing is sent after the unsent bytes
)

// Movable reports whether the connection can be frozen: it waits for a request,
// has received a part of a head, or is sending a file or one range of it. A
// request's body, several ranges and a listing stay until they are done.
func (c *Conn) Movable() bool {
	if c.draining {
		return false
	}
	switch c.phase {
	case phaseIdle, phaseHead:
		return true
	case phaseSend:
		return c.parts == nil && c.segment.Len > 0
	}
	return false
}

// Freeze appends the state of a connection that is [Conn.Movable], after
// [Conn.Hold]; unsent are the bytes of its replies that the socket has not
// taken yet. The connection itself is as it was; [Conn.Leave] ends it here.
func (c *Conn) Freeze(dst, unsent []byte, now Now) []byte {
	dst = append(dst, stateVersion, c.stateFlags())
	dst = appendAge(dst, now.Mono-c.since)
	dst = appendAge(dst, now.Mono-c.began)
	dst = appendBytes(dst, c.in)
	dst = appendBytes(dst, unsent)
	if c.phase == phaseSend {
		dst = binary.AppendUvarint(dst, uint64(c.segment.Off))
		dst = binary.AppendUvarint(dst, uint64(c.segment.Len))
	}
	if r := c.record; r != nil && r.obs != nil {
		for _, p := range [][]byte{r.Method, r.Target, r.Referer, r.Agent, r.ID} {
			dst = appendBytes(dst, p)
		}
		dst = append(dst, r.Minor)
		dst = binary.AppendUvarint(dst, uint64(r.Status))
		dst = binary.AppendUvarint(dst, uint64(r.Bytes))
		dst = appendAge(dst, now.Mono-r.Began)
		dst = appendAge(dst, now.Mono-r.Headed)
	}
	if c.long != nil {
		dst = appendBytes(dst, c.long.line)
		dst = binary.AppendUvarint(dst, uint64(c.long.size))
	}
	return dst
}

func (c *Conn) stateFlags() (flags byte) {
	if c.phase == phaseSend {
		flags |= stateSending
	}
	if c.closing {
		flags |= stateClosing
	}
	if c.linger {
		flags |= stateLinger
	}
	if c.record != nil && c.record.obs != nil {
		flags |= stateWatched
	}
	if c.long != nil {
		flags |= stateLong
	}
	return flags
}

// Leave ends a connection that goes on elsewhere: nothing is said of it.
func (c *Conn) Leave() {
	c.release()
	c.in, c.phase = nil, phaseClosed
}

// errState says that bytes are no state of a connection.
var errState = errors.New("malformed state of a connection")

// Thaw makes a connection of its state, which is not referred to any longer.
// The file is that which is being sent; it is closed with the connection, and
// nil if there is none. unsent are the bytes to be sent before anything else.
func Thaw(cfg *Config, obs Observer, state []byte, file File, now Now) (c Conn, unsent []byte, err error) {
	s := thawing{rest: state}
	version, flags := s.byte(), s.byte()
	c = New(cfg, obs, now)
	c.since = now.Mono - s.age()
	c.began = now.Mono - s.age()
	c.in = s.bytes()
	unsent = s.bytes()
	c.unsent = len(unsent) > 0
	c.closing, c.linger = flags&stateClosing != 0, flags&stateLinger != 0
	sending := flags&stateSending != 0
	switch {
	case sending:
		c.phase = phaseSend
		c.segment = Segment{File: file, Off: s.int(), Len: s.int()}
	case flags&stateEnding != 0:
		c.phase = phaseLinger
	case len(c.in) > 0:
		c.phase = phaseHead
	}
	if flags&stateWatched != 0 {
		r := Record{
			Method: s.bytes(), Target: s.bytes(), Referer: s.bytes(), Agent: s.bytes(), ID: s.bytes(), Minor: s.byte(),
			Status: proto.Status(s.int()), Bytes: s.int(), Began: now.Mono - s.age(), Headed: now.Mono - s.age(),
		}
		if c.record != nil {
			c.record.Record = r
		}
	}
	if c.record != nil {
		c.record.silent = sending && flags&stateWatched == 0
	}
	if flags&stateLong != 0 {
		c.long = &long{line: s.bytes(), size: s.int()}
	}
	if s.bad || len(s.rest) > 0 || version != stateVersion || flags >= stateEnding<<1 || sending != (file != nil) || sending && c.segment.Len == 0 {
		return Conn{}, nil, errState
	}
	return c, unsent, nil
}

func appendAge(dst []byte, age time.Duration) []byte {
	return binary.AppendUvarint(dst, uint64(max(0, age)))
}

func appendBytes(dst, p []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(p))), p...)
}

// thawing reads a state from its front. Once something is wrong, all that
// follows is zero.
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
