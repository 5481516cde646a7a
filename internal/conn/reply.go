package conn

import (
	"bytes"

	"phalanx/internal/proto"
)

// ReadsBody reports whether a request by the method is answered only after its body
// has been discarded. Others are refused at once: their response is an error whatever
// the body says.
func ReadsBody(m proto.Method) bool {
	return m == proto.MethodGet || m == proto.MethodHead || m == proto.MethodOptions
}

// answer appends the reply to a complete request.
func (c *Conn) answer(out []byte, now Now) []byte {
	x := c.x
	x.Headed = now.Mono
	c.persist(now)
	if len(c.cfg.Challenges) > 0 {
		if key, ok := c.challenge(); ok {
			return c.prove(out, key, now)
		}
	}
	if c.cfg.SecurePort != 0 && !c.secure && !c.local && moves(x.Request) {
		return c.moveToSecure(out, now)
	}
	switch x.Request.Method {
	case proto.MethodGet, proto.MethodHead:
		out = c.get(out, now)
		x.Size = c.Left()
		return out
	case proto.MethodOptions:
		out = c.start(out, proto.StatusNoContent, SourceNone, now)
		out = proto.AppendField(out, "Allow", proto.Allow)
		if c.cfg.CORS && x.Request.Has(proto.FieldOrigin) {
			out = append(out, preflightFields...)
		}
		return c.end(out)
	case proto.MethodUnknown:
		return c.fail(out, proto.StatusNotImplemented, now)
	}
	return c.fail(out, proto.StatusMethodNotAllowed, now)
}

// persist decides whether this response is the connection's last. While draining,
// requests that were already received are answered first, up to a limit for clients
// that never stop pipelining.
func (c *Conn) persist(now Now) {
	x, keep := c.x, c.x.Request.KeepAlive()
	switch {
	case x.Closing != Persistent:
	case c.draining && keep && (len(c.in) == 0 || now.Mono-c.drain > HeadTimeout):
		// The client does not know yet; its next request may be on its way.
		x.Closing = ClosingDrain
	case c.finishes && keep && len(c.in) == 0:
		x.Closing = ClosingDrain
	case c.cfg.Single:
		x.Closing = ClosingSingle
	case !keep:
		x.Closing = ClosingClient
	}
}

// identify finds the id of the request: the client's, or one that is made.
func (c *Conn) identify() {
	x := c.x
	if id := x.Value(proto.FieldRequestID); validID(id) {
		x.ID = append(x.ID, id...)
		return
	}
	x.ID = c.cfg.ID(x.ID)
}

// maxID is the length of the longest request id that is taken from a client, in
// bytes.
const maxID = 128

// validID reports whether an id that a client sent can go into replies and logs
// as it is: letters, digits and a few signs, as in a UUID or in base64.
func validID(id []byte) bool {
	for _, b := range id {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case bytes.IndexByte([]byte("-_.:+/=@"), b) >= 0:
		default:
			return false
		}
	}
	return 0 < len(id) && len(id) <= maxID
}

// get answers GET and HEAD.
func (c *Conn) get(out []byte, now Now) []byte {
	x := c.x
	if !c.authorized() {
		return c.fail(out, proto.StatusUnauthorized, now)
	}
	x.Codings = proto.AcceptCodings(x.Request, x.Head)
	path := x.Request.Path.In(x.Head)
	if c.cfg.Archive != nil && x.Request.Query.Len > 0 {
		if format := c.cfg.Archive(x.Request.Query.In(x.Head)); format != "" && (len(path) == 0 || path[len(path)-1] == '/') {
			return c.archive(out, path, format, now)
		}
	}
	f, status := c.cfg.Site.Open(path, x.Codings)
	if status == proto.StatusNotFound && c.cfg.Fallback && proto.Navigates(x.Request, x.Head) {
		f, status = c.cfg.Site.Fallback(path, x.Codings)
	}
	switch status {
	case proto.StatusOK:
		c.segment.File = f
		return c.file(out, now)
	case proto.StatusMovedPermanently:
		return c.redirect(out, now)
	case proto.StatusForbidden:
		if c.cfg.List {
			return c.list(out, now)
		}
	}
	return c.fail(out, status, now)
}

// redirect sends the client to the directory's own URI, on this host and
// with its query.
func (c *Conn) redirect(out []byte, now Now) []byte {
	r, head := c.x.Request, c.x.Head
	location := append([]byte("/"), bytes.TrimLeft(r.Path.In(head), "/")...)
	location = append(location, '/')
	location = append(location, r.Query.In(head)...)
	return c.page(out, proto.StatusMovedPermanently, proto.AppendEscaped(nil, location, inURI), now)
}

// inURI reports whether a URI may contain the byte. A backslash is not allowed:
// browsers take it for a slash, and "/\host" would lead to another host.
func inURI(c byte) bool {
	return ' ' < c && c < 0x7f && bytes.IndexByte([]byte("\"<>\\^`{|}"), c) < 0
}

// refuse answers a request that cannot be understood or read to its end, and
// closes the connection: the beginning of the next request is unknown.
func (c *Conn) refuse(out []byte, f proto.Fault, now Now) []byte {
	c.in = nil
	c.x.Closing, c.x.Fault, c.x.Headed = ClosingFault, f, now.Mono
	return c.fail(out, f.Status, now)
}

// refuseMalformed answers what the parser has refused.
func (c *Conn) refuseMalformed(out []byte, now Now) []byte {
	fault := c.parser.Fault()
	if c.in[0] == handshakeRecord {
		fault = hello
	}
	c.open(nil)
	return c.refuse(out, fault, now)
}

// refuseUnread answers what is not a complete request.
func (c *Conn) refuseUnread(out []byte, now Now) []byte {
	fault := late
	if c.phase == phaseClear {
		fault = inClear
	}
	if c.x == nil {
		c.open(nil)
	}
	return c.refuse(out, fault, now)
}

// start appends the status line and the fields of every response. Everything has been
// decided by now.
func (c *Conn) start(out []byte, s proto.Status, from Source, now Now) []byte {
	x := c.x
	x.Status, x.Source = s, from
	c.phase, c.since = phaseSend, now.Mono
	if c.cfg.ID != nil {
		c.identify()
	}
	if c.obs != nil {
		x.File = c.segment.File
		c.obs.Decided(x)
		x.File = nil
	}
	out = proto.AppendStatusLine(out, s)
	out = append(out, now.Second.common...)
	if c.secure {
		out = append(out, now.Second.strict...)
	}
	if len(x.ID) > 0 {
		out = append(append(append(out, "X-Request-Id: "...), x.ID...), "\r\n"...)
	}
	switch {
	case x.Closing != Persistent:
		out = append(out, "Connection: close\r\n"...)
	case x.Request.Minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	return out
}

// end appends the empty line that ends the head.
func (c *Conn) end(out []byte) []byte { return append(out, "\r\n"...) }
