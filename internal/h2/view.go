package h2

import "phalanx/internal/conn"

// View describes the connection and, of the responses under way, the one whose request came
// first.
func (c *Conn) View() conn.View {
	v := conn.View{State: c.State(), Since: c.since, Version: conn.HTTP2, Streams: len(c.streams)}
	if v.State == conn.Receiving {
		v.Since = c.received()
	}
	if v.State != conn.Sending {
		return v
	}
	for _, s := range c.streams {
		if s.phase != streamReceiving {
			v.Since = s.began
			s.reply.See(&v)
			break
		}
	}
	return v
}

// State returns what the connection is doing.
func (c *Conn) State() conn.State {
	switch {
	case c.phase > phaseOpen:
		return conn.Ending
	case c.answering > 0 || c.unsent > 0:
		return conn.Sending
	case len(c.streams) > 0 || c.partial():
		return conn.Receiving
	}
	return conn.Idle
}

// Left returns the number of bytes of files that the responses under way still have to send.
func (c *Conn) Left() (n int64) {
	for _, s := range c.streams {
		n += s.reply.Left()
	}
	return n
}

// Aborted reports whether [Conn.Abort] has ended the connection.
func (c *Conn) Aborted() bool { return c.phase == phaseAborted }

// Movable returns false: a connection of HTTP/2 cannot be handed over.
func (c *Conn) Movable() bool { return false }

// Mark returns a mark that excludes the connection from rescue.
func (c *Conn) Mark() conn.Mark {
	return conn.Mark{Rest: len(c.in), Fixed: true, Ending: c.phase > phaseOpen}
}

// Rest returns the number of received bytes that are not used yet.
func (c *Conn) Rest() int { return len(c.in) }

// Receives reports whether the connection accepts more bytes while it still has some to send:
// it does unless a whole frame is already waiting.
func (c *Conn) Receives() bool { return c.phase <= phaseOpen && len(c.in) < headerLen+maxFrame }

// Unused returns those bytes, valid until the next call of Next.
func (c *Conn) Unused() []byte { return c.in }
