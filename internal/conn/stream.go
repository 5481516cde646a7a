package conn

import (
	"bytes"

	"phalanx/internal/proto"
)

// list answers with the list of a directory, as JSON to those who prefer it.
func (c *Conn) list(out, head []byte, r *proto.Request, now Now) []byte {
	query := r.Query.In(head)
	json := bytes.Contains(query, []byte("format=json")) ||
		proto.Accepts(r, head, "application", "json") > proto.Accepts(r, head, "text", "html")
	stream, status := c.cfg.Site.List(r.Path.In(head), query, json)
	if status != proto.StatusOK {
		return c.fail(out, r, status, now)
	}
	chunked := r.Minor >= 1
	if !chunked {
		c.closing = true // its end is the only mark that HTTP/1.0 has
		c.explain("Connection:", "HTTP/1.0 knows the end of a body without a length by nothing else")
	}
	if c.cfg.Explain != nil {
		c.explainList(json)
	}
	out = c.start(out, r, proto.StatusOK, now)
	out = append(append(out, now.Second.born...), now.Second.stale...)
	out = append(out, "Cache-Control: no-cache\r\nVary: Accept\r\n"...)
	out = proto.AppendField(out, "Content-Type", stream.ContentType())
	if chunked {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	out = c.end(out)
	if r.Method == proto.MethodHead {
		stream.Close()
		return out
	}
	c.phase, c.long = phaseStream, &long{stream: stream}
	return out
}

// nextChunk appends what the stream has ready, for an HTTP/1.1 client as a
// chunk (RFC 9112 §7.1) whose size is written once it is known.
func (c *Conn) nextChunk(out []byte, now Now) []byte {
	const digits = "0123456789abcdef"
	const size = "00000000\r\n"
	chunked := c.parser.Request().Minor >= 1
	mark := len(out)
	if chunked {
		out = append(out, size...)
	}
	from := len(out)
	out, done := c.long.stream.Append(out)
	n := len(out) - from
	c.count(n)
	switch {
	case chunked && n == 0:
		out = out[:mark]
	case chunked:
		for i, left := mark+7, n; left > 0; i, left = i-1, left>>4 {
			out[i] = digits[left&15]
		}
		out = append(out, "\r\n"...)
	}
	c.since = now.Mono
	if done {
		if chunked {
			out = append(out, "0\r\n\r\n"...)
		}
		c.finish(now)
	}
	return out
}
