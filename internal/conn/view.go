package conn

import (
	"time"

	"phalanx/internal/proto"
)

// This file is what can be seen of a connection from outside, while it lasts.

// View is a connection at a moment.
type View struct {
	State State
	Line  []byte        // method and target of the request under way, as far as they are known
	Sent  int64         // bytes of the body so far, if Line is known
	Size  int64         // of the body; 0: not known
	Since time.Duration // when the request, or else the state, began
}

// State is what a connection is doing.
type State uint8

// The states.
const (
	Idle      State = iota // it waits for a request
	Receiving              // a request comes in
	Sending                // a reply goes out
	Ending                 // the last reply has been sent
)

// View returns what can be seen now.
func (c *Conn) View() View {
	v := View{State: c.State(), Since: c.since}
	switch v.State {
	case Receiving, Sending:
		v.Since = c.began
	}
	if c.long != nil && v.State == Sending {
		v.Line, v.Size = c.long.line, c.long.size
		if v.Size > 0 {
			v.Sent = v.Size - c.Left()
		}
	}
	return v
}

// State returns what the connection is doing.
func (c *Conn) State() State {
	switch c.phase {
	case phaseIdle:
		if c.unsent {
			return Sending
		}
		return Idle
	case phaseHead, phaseBody, phaseLate:
		return Receiving
	case phaseSend, phaseStream:
		return Sending
	}
	return Ending
}

// longBody is the size in bytes beyond which a reply is taken to last so long
// that somebody may want to know what it is.
const longBody = 64 << 10

// long is what is known of a reply that takes its time. Other replies go
// without, so that a connection is small.
type long struct {
	line   []byte // method and target
	size   int64  // of the body; 0: not known
	stream Stream // of which the body is made, or nil
}

// keep keeps what is known of a reply that was begun, if it is a long one.
func (c *Conn) keep(r *proto.Request, head []byte) {
	left := c.Left()
	if c.long == nil && left <= longBody {
		return
	}
	if c.long == nil {
		c.long = &long{size: left}
	}
	c.long.line = append(c.long.line, requestLine(r, head)...)
}

// requestLine is the method and the target.
func requestLine(r *proto.Request, head []byte) []byte {
	return head[r.MethodName.Off : r.Target.Off+r.Target.Len]
}
