package conn

import (
	"encoding/binary"
	"time"
)

// Mark is what a connection does after the bytes that Next appended last: another process
// needs it to continue the connection if this one dies. Together with the received and the
// unsent bytes it becomes a state; see [AppendState].
type Mark struct {
	Rest   int     // received bytes that have not been used
	Next   Segment // segment that follows; its File is nil if there is none
	Flags  uint8   // opaque
	Ending bool    // nothing is sent after Next, and no received byte is used
	Fixed  bool    // the connection cannot move: a listing, several ranges, or a request's body
}

// Mark returns what the connection does next.
func (c *Conn) Mark() Mark {
	m := Mark{Rest: len(c.in)}
	switch c.phase {
	case phaseIdle, phaseHead:
	case phaseReply:
		if c.reply.asks() {
			m.Fixed = c.reply.x.unused == 0 // it had content: nobody else can answer it
			break
		}
		if m.Fixed = c.reply.phase != replySend; !m.Fixed {
			m.Flags = uint8(c.reply.x.Closing)
			m.Next = c.reply.segment
			m.Fixed = c.reply.x.parts != nil
		}
	case phaseBody, phaseLate, phaseClear:
		m.Fixed = true
	default:
		m.Ending = true
	}
	return m
}

// EndsAfter reports whether a connection with the Flags of a Mark ends once its segment has
// been sent.
func EndsAfter(flags uint8) bool { return Closing(flags) != Persistent }

// AppendExchange appends the exchange under way for [AppendState], while a file is
// sent.
func (c *Conn) AppendExchange(dst []byte) []byte { return c.reply.x.append(dst) }

// Headed returns when the request under way was complete, while a file is sent.
func (c *Conn) Headed() time.Duration { return c.reply.x.Headed }

// Remains is what is known about a connection whose process died, from its last Mark.
type Remains struct {
	Held      []byte // received bytes to answer
	Unsent    []byte // bytes of responses to send first
	Flags     uint8
	Ending    bool
	Off, Rest int64         // part of a file that follows
	Exchange  []byte        // from [Conn.AppendExchange]; empty if nothing is known
	Age       time.Duration // since its request was complete
}

// AppendState appends the state (see [Thaw]) of a connection.
func AppendState(dst []byte, r Remains) []byte {
	state := byte(stateIdle)
	switch {
	case r.Ending:
		state, r.Held = stateEnding, nil
	case r.Rest > 0:
		state = stateSending
	}
	dst = append(dst, stateVersion, state)
	dst = appendAge(dst, 0)
	dst = appendAge(dst, r.Age)
	dst = appendBytes(dst, r.Held)
	dst = appendBytes(dst, r.Unsent)
	if state != stateSending {
		return dst
	}
	dst = appendSegment(dst, r.Off, r.Rest)
	size := exchangeSize(r.Exchange)
	if size < r.Rest {
		return append(dst, 0, 0, 0, r.Flags, 0, 0, 0, 0) // nothing else is known about the exchange
	}
	dst = append(dst, r.Exchange...)
	dst = binary.AppendUvarint(dst, uint64(size-r.Rest))
	return appendAge(dst, r.Age)
}

// exchangeSize returns the Size of an appended exchange, -1 if it is invalid.
func exchangeSize(p []byte) int64 {
	s := thawing{rest: p}
	s.bytes()
	s.bytes()
	s.bytes()
	s.byte()
	s.int()
	size := s.int()
	if s.bad || len(s.rest) > 0 || len(p) == 0 {
		return -1
	}
	return size
}

// Rest returns how many received bytes have not been used.
func (c *Conn) Rest() int { return len(c.in) }

// Unused returns the received bytes that have not been used, valid until the next call of
// Next.
func (c *Conn) Unused() []byte { return c.in }
