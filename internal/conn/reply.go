package conn

import (
	"bytes"

	"phalanx/internal/proto"
)

// readsBody reports whether a request by the method is answered only after
// its body was read away. The others are refused at once.
func readsBody(m proto.Method) bool {
	return m == proto.MethodGet || m == proto.MethodHead || m == proto.MethodOptions
}

// answer appends the reply to a complete request.
func (c *Conn) answer(out, head []byte, now Now) []byte {
	r := c.parser.Request()
	c.decide(r, now)
	c.note(r, head, now)
	switch r.Method {
	case proto.MethodGet, proto.MethodHead:
		out = c.get(out, head, r, now)
		c.keep(r, head)
		return out
	case proto.MethodOptions:
		out = c.start(out, r, proto.StatusNoContent, now)
		out = proto.AppendField(out, "Allow", proto.Allow)
		c.explain("Allow:", "the methods that are served, for every target the same")
		if c.cfg.CORS && r.Has(proto.FieldOrigin) {
			c.explain("Access-Control-Allow-Methods:", preflight)
			c.explain("Access-Control-Allow-Headers:", preflight)
			c.explain("Access-Control-Max-Age:", preflight)
			out = append(out, preflightFields...)
		}
		return c.end(out)
	case proto.MethodUnknown:
		return c.fail(out, r, proto.StatusNotImplemented, now)
	}
	return c.fail(out, r, proto.StatusMethodNotAllowed, now)
}

// decide says whether this reply is the connection's last. While draining,
// requests that were already received are answered first, but not those of a
// client that never stops to pipeline.
func (c *Conn) decide(r *proto.Request, now Now) {
	if c.draining && (len(c.in) == 0 || now.Mono-c.drain > HeadTimeout) && r.KeepAlive() {
		// The client does not know yet; its next request may be on its way.
		c.closing, c.linger = true, true
		c.explain("Connection:", "the worker drains")
	}
	if !r.KeepAlive() || c.cfg.Single {
		c.closing = true
		c.explain("Connection:", c.whyClosing(r))
	}
}

// note keeps what the log will say of the request.
func (c *Conn) note(r *proto.Request, head []byte, now Now) {
	if c.record == nil {
		return
	}
	w := c.record
	if w.Headed = now.Mono; head == nil {
		return
	}
	if w.obs != nil {
		w.Method = append(w.Method, r.MethodName.In(head)...)
		w.Target = append(w.Target, r.Target.In(head)...)
		w.Minor = r.Minor
		w.Referer = append(w.Referer, r.Value(head, proto.FieldReferer)...)
		w.Agent = append(w.Agent, r.Value(head, proto.FieldUserAgent)...)
	}
	if c.cfg.ID == nil {
		return
	}
	if id := r.Value(head, proto.FieldRequestID); validID(id) {
		w.ID = append(w.ID, id...)
	}
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
func (c *Conn) get(out, head []byte, r *proto.Request, now Now) []byte {
	path := r.Path.In(head)
	codings := proto.AcceptCodings(r, head)
	if c.cfg.Explain != nil {
		c.explainCodings(r, codings)
	}
	f, status := c.cfg.Site.Open(path, codings)
	switch status {
	case proto.StatusOK:
		c.segment.File = f
		return c.file(out, head, r, now)
	case proto.StatusMovedPermanently:
		return c.redirect(out, head, r, now)
	case proto.StatusForbidden:
		if c.cfg.List {
			return c.list(out, head, r, now)
		}
	}
	return c.fail(out, r, status, now)
}

// redirect sends the client to the directory's own URI, on this host and
// with its query.
func (c *Conn) redirect(out, head []byte, r *proto.Request, now Now) []byte {
	location := append([]byte("/"), bytes.TrimLeft(r.Path.In(head), "/")...)
	location = append(location, '/')
	location = append(location, r.Query.In(head)...)
	c.explain("Location:", "the path is a directory's and lacks its slash; the query is kept (RFC 9110 §15.4.2)")
	return c.page(out, r, proto.StatusMovedPermanently, appendURI(nil, location), now)
}

// appendURI appends p, in which bytes that no URI may hold are encoded. A
// backslash is one of them: browsers take it for a slash, and "/\host" would
// lead away.
func appendURI(dst, p []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range p {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte("\"<>\\^`{|}"), c) >= 0 {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// refuse answers a request that cannot be understood or read to its end, and
// gives up the connection: where the next request begins is not known.
func (c *Conn) refuse(out, head []byte, f proto.Fault, now Now) []byte {
	r := c.parser.Request()
	c.closing, c.linger, c.in = true, true, nil
	if c.cfg.Explain != nil {
		c.cfg.Explain("refused", f.Reason+" ("+f.Rule+")")
		c.cfg.Explain("Connection:", "where the next request would begin is not known")
	}
	c.note(r, head, now)
	if c.record != nil {
		c.record.Reason = f.Reason
	}
	return c.fail(out, r, f.Status, now)
}

// start appends the status line and the fields of every reply.
func (c *Conn) start(out []byte, r *proto.Request, s proto.Status, now Now) []byte {
	if c.cfg.Tally != nil {
		c.cfg.Tally.Begun(s)
	}
	if c.cfg.Explain != nil {
		c.explainStart(r, s)
	}
	c.phase, c.since = phaseSend, now.Mono
	out = proto.AppendStatusLine(out, s)
	out = append(out, now.Second.common...)
	if w := c.record; w != nil {
		w.Status = s
		if w.obs != nil {
			w.obs.Begun()
		}
		if c.cfg.ID != nil {
			if len(w.ID) == 0 {
				w.ID = c.cfg.ID(w.ID)
			}
			out = append(append(append(out, "X-Request-Id: "...), w.ID...), "\r\n"...)
		}
	}
	switch {
	case c.closing:
		out = append(out, "Connection: close\r\n"...)
	case r.Minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	return out
}

// end appends the empty line that ends the head.
func (c *Conn) end(out []byte) []byte { return append(out, "\r\n"...) }
