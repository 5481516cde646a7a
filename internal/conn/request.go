package conn

import (
	"bytes"

	"phalanx/internal/proto"
)

// This file has what HTTP/1.1 decides about a request.

// ReadsBody reports whether a request with the method is answered only after its body has been
// discarded. Requests with other methods are refused at once, whatever their body says.
func ReadsBody(m proto.Method) bool {
	return m == proto.MethodGet || m == proto.MethodHead || m == proto.MethodOptions
}

// persist decides whether this response is the connection's last. During a drain, requests
// that were already received are answered first, up to a limit, because a client may never
// stop pipelining.
func (c *Conn) persist(now Now) {
	x := c.reply.x
	keep, last := x.Request.KeepAlive(), len(c.in) == x.unused
	switch {
	case x.Closing != Persistent:
	case c.draining && keep && (last || now.Mono-c.drain > HeadTimeout):
		// The client does not know yet; its next request may be on its way.
		x.Closing = ClosingDrain
	case c.finishes && keep && last:
		x.Closing = ClosingDrain
	case c.reply.cfg.Single:
		x.Closing = ClosingSingle
	case !keep:
		x.Closing = ClosingClient
	}
}

// unannounced refuses a PROXY header from an address that is not expected to send one.
var unannounced = proto.Fault{Status: proto.StatusBadRequest, Reason: "a PROXY header, which is not expected from this address", Rule: "RFC 9112 §3"}

// refuseMalformed answers a request that the parser has refused.
func (c *Conn) refuseMalformed(out []byte, now Now) []byte {
	fault := c.parser.Fault()
	switch {
	case c.in[0] == handshakeRecord:
		fault = hello
	case bytes.HasPrefix(c.in, []byte("PROXY ")), bytes.HasPrefix(c.in, []byte("\r\n\r\n\x00\r\nQUIT\n")):
		fault = unannounced
	}
	c.open(nil)
	return c.refuse(out, fault, now)
}

// refuseUnread answers a request that is not complete.
func (c *Conn) refuseUnread(out []byte, now Now) []byte {
	fault := Late
	if c.phase == phaseClear {
		fault = inClear
	}
	if c.reply.x == nil {
		c.open(nil)
	}
	return c.refuse(out, fault, now)
}

// headDone decides what comes after a head: the response, or first discarding the request's
// body.
func (c *Conn) headDone(out []byte, now Now) []byte {
	in, head := c.in, c.in[:c.parser.Len()]
	c.in = c.in[len(head):]
	c.reply.Open(c.parser.Request(), head, c.version(), c.began)
	x := c.reply.x
	r := x.Request
	switch {
	case !r.HasBody():
		if out = c.answer(out, now); c.reply.asks() {
			// While the credentials are checked, the head counts as not used: if this
			// process dies, another one answers the request.
			c.in, x.unused = in, len(head)
		}
		return out
	case !ReadsBody(r.Method):
		x.Closing = ClosingUnread
		return c.answer(out, now)
	case r.Length > proto.MaxBody:
		return c.refuse(out, TooLong, now)
	}
	c.phase, c.since, c.pace = phaseBody, now.Mono, Pace{}
	x.hold()
	x.upload = &upload{left: r.Length}
	if r.Expect && len(c.in) == 0 {
		out = append(proto.AppendStatusLine(out, proto.StatusContinue), '\r', '\n')
	}
	return out
}

// open begins the exchange of a request without calling the observer's Received.
func (c *Conn) open(head []byte) {
	c.reply.open(c.parser.Request(), head, c.version(), c.began)
}

func (c *Conn) version() Version { return Version(c.parser.Request().Minor) }

// answer appends the response to a complete request.
func (c *Conn) answer(out []byte, now Now) []byte {
	c.persist(now)
	out = c.reply.Answer(out, now)
	if c.reply.x.Closing == ClosingFault {
		c.in = nil
	}
	c.phase, c.since, c.pace = phaseReply, now.Mono, Pace{}
	return out
}

// refuse answers a request that cannot be understood or read to its end, and
// closes the connection: the beginning of the next request is unknown.
func (c *Conn) refuse(out []byte, f proto.Fault, now Now) []byte {
	c.in = nil
	c.phase, c.since, c.pace = phaseReply, now.Mono, Pace{}
	return c.reply.Refuse(out, f, now)
}
