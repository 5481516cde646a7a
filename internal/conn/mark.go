package conn

// Mark is what a connection does after the bytes that Next appended last: what
// has to be known of it to go on if its process dies. With the bytes that were
// received and those that the socket has not taken it makes a state, see
// [AppendState].
type Mark struct {
	Rest   int     // received bytes that have not been used
	Next   Segment // of a file; without one if there is none
	Flags  uint8   // opaque
	Ending bool    // nothing is sent after that, and nothing received is used
	Fixed  bool    // it cannot go on elsewhere: a listing, several ranges, or a request's body
}

// Mark returns what the connection does next.
func (c *Conn) Mark() Mark {
	m := Mark{Rest: len(c.in)}
	switch c.phase {
	case phaseIdle, phaseHead:
	case phaseSend:
		m.Flags = uint8(c.x.Closing)
		m.Next = c.segment
		m.Fixed = c.x.parts != nil
	case phaseBody, phaseLate, phasePrepare, phaseStream:
		m.Fixed = true
	default:
		m.Ending = true
	}
	return m
}

// EndsAfter reports whether a connection with the flags of a Mark ends when the
// segment has been sent.
func EndsAfter(flags uint8) bool { return Closing(flags) != Persistent }

// AppendState appends the state (see [Thaw]) of a connection of which only its
// last Mark is left. held are the bytes that are to be answered, unsent those
// that are to be sent first, off and rest the part of the file that follows.
func AppendState(dst, held, unsent []byte, flags uint8, ending bool, off, rest int64) []byte {
	state := byte(stateIdle)
	switch {
	case ending:
		state, held = stateEnding, nil
	case rest > 0:
		state = stateSending
	}
	dst = append(dst, stateVersion, state)
	dst = appendAge(dst, 0)
	dst = appendAge(dst, 0)
	dst = appendBytes(dst, held)
	dst = appendBytes(dst, unsent)
	if state != stateSending {
		return dst
	}
	dst = appendSegment(dst, off, rest)
	return append(dst, 0, 0, flags, 0, 0, 0, 0) // of the exchange nothing else is known
}

// Rest is how many received bytes have not been used.
func (c *Conn) Rest() int { return len(c.in) }

// Unused are those bytes, valid until the connection goes on.
func (c *Conn) Unused() []byte { return c.in }
