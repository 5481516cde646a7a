package h2

import "phalanx/internal/conn"

// View returns what the connection is doing: of several responses, the one that was sent
// last.
func (c *Conn) View() conn.View {
	v := conn.View{State: c.State(), Since: c.since, Version: conn.HTTP2, Streams: len(c.streams)}
	switch v.State {
	case conn.Sending:
	case conn.Receiving:
		v.Since = c.received()
		return v
	default:
		return v
	}
	s := c.sending
	for i := 0; s == nil && i < len(c.streams); i++ {
		if c.streams[i].phase != streamReceiving {
			s = c.streams[i]
		}
	}
	if s != nil {
		s.reply.See(&v)
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

// Streams is how many requests are open.
func (c *Conn) Streams() int { return len(c.streams) }

// Left is how many bytes of files the responses under way still have to send.
func (c *Conn) Left() (n int64) {
	for _, s := range c.streams {
		n += s.reply.Left()
	}
	return n
}

// Aborted reports whether [Conn.Abort] has ended the connection.
func (c *Conn) Aborted() bool { return c.phase == phaseAborted }

// Movable reports whether the connection can continue in another worker: it cannot.
func (c *Conn) Movable() bool { return false }

// Mark says that the connection cannot be rescued.
func (c *Conn) Mark() conn.Mark {
	return conn.Mark{Rest: len(c.in), Fixed: true, Ending: c.phase > phaseOpen}
}

// Rest is how many received bytes have not been used.
func (c *Conn) Rest() int { return len(c.in) }

// Receives reports whether it takes more bytes before it has sent what it has: not more
// than the beginning of a frame is left of those that it has.
func (c *Conn) Receives() bool { return c.phase <= phaseOpen && len(c.in) < headerLen+maxFrame }

// Unused returns those bytes, valid until the next call of Next.
func (c *Conn) Unused() []byte { return c.in }
