package conn

import (
	"time"

	"phalanx/internal/clientip"
)

// This file shows the state of a connection.

// View is a snapshot of a connection.
type View struct {
	State   State
	Line    []byte        // method and target of the current request; valid until the next call of Next
	Sent    int64         // bytes of the content so far, if Size is known or it is an archive
	Size    int64         // bytes of the content; 0: not known
	Client  clientip.Addr // client of the current request, if it is known
	Streams int           // open streams of an HTTP/2 connection
	Version Version       // version of the exchange under way, or HTTP2
	Since   time.Duration // when the request, or else the state, began
}

// State is what a connection is doing.
type State uint8

// The states.
const (
	Idle      State = iota // waiting for a request
	Receiving              // a request is being received
	Sending                // a response is being sent
	Ending                 // the last response has been sent
)

// View returns a snapshot, made from the exchange under way.
func (c *Conn) View() View {
	v := View{State: c.State(), Since: c.since, Version: HTTP11}
	switch v.State {
	case Receiving, Sending:
		v.Since = c.began
	}
	if v.State == Sending {
		c.reply.See(&v)
	}
	return v
}

// See adds the exchange under way, if there is one, to a view.
func (r *Reply) See(v *View) {
	x := r.x
	if x == nil {
		return
	}
	v.Version, v.Client = x.Version, x.Client
	if v.Line, v.Size = x.Line(), x.Size; v.Size > 0 {
		v.Sent = v.Size - r.Left()
	} else if x.Source == SourceArchive {
		v.Sent = x.Bytes
	}
}

// State returns what the connection is doing.
func (c *Conn) State() State {
	switch c.phase {
	case phaseIdle:
		switch {
		case c.unsent > 0:
			return Sending
		case len(c.in) > 0:
			return Receiving // what was received is used once the responses before it are sent
		}
		return Idle
	case phaseHead, phaseBody, phaseLate, phaseClear:
		return Receiving
	case phaseReply:
		return Sending
	}
	return Ending
}

// Aborted reports whether [Conn.Abort] has ended the connection, perhaps in the middle of
// a response.
func (c *Conn) Aborted() bool { return c.phase == phaseAborted }
