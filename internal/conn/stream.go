package conn

import (
	"bytes"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// list answers with the list of a directory, as JSON to those who prefer it.
func (c *Conn) list(out []byte, now Now) []byte {
	r, head := c.x.Request, c.x.Head
	query := r.Query.In(head)
	json := bytes.Contains(query, []byte("format=json")) ||
		proto.Accepts(r, head, "application", "json") > proto.Accepts(r, head, "text", "html")
	stream, status := c.cfg.Site.List(r.Path.In(head), query, json)
	if status != proto.StatusOK {
		return c.fail(out, status, now)
	}
	if r.Minor == 0 && c.x.Closing == Persistent {
		c.x.Closing = ClosingLength
	}
	c.phase, c.since, c.x.stream = phasePrepare, now.Mono, stream
	return out
}

// prepare continues the work of a stream before its response begins: until then the
// response can still be an error.
func (c *Conn) prepare(out []byte, now Now) []byte {
	stream := c.x.stream
	ready, status := stream.Prepare()
	c.since = now.Mono
	switch {
	case status != proto.StatusOK:
		stream.Close()
		c.x.stream = nil
		return c.fail(out, status, now)
	case ready:
		return c.startStream(out, stream, now)
	}
	return out
}

// startStream appends the head of a response with a stream, or the response that its
// preconditions require.
func (c *Conn) startStream(out []byte, stream Stream, now Now) []byte {
	x := c.x
	var status proto.Status
	v := proto.Validators{ETag: stream.ETag(), Undated: true, Date: now.Second.Unix}
	status, x.Conditions = proto.Precondition(x.Request, x.Head, v)
	if status != proto.StatusOK || x.Request.Method == proto.MethodHead {
		stream.Close()
		x.stream = nil
	}
	if status == proto.StatusPreconditionFailed {
		return c.fail(out, status, now)
	}
	out = c.start(out, status, SourceListing, now)
	out = append(append(out, now.Second.born...), now.Second.stale...)
	out = append(out, "Cache-Control: no-cache\r\nVary: Accept\r\nETag: "...)
	out = append(append(out, v.ETag...), "\r\n"...)
	if status == proto.StatusNotModified {
		return c.end(out)
	}
	if now.Second.policy != "" {
		out = append(out, theme.ListingPolicy...)
	}
	out = proto.AppendField(out, "Content-Type", stream.ContentType())
	if x.Request.Minor >= 1 {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if x.stream != nil {
		c.phase = phaseStream
	}
	return c.end(out)
}

// nextChunk appends what the stream has ready, for an HTTP/1.1 client as a
// chunk (RFC 9112 §7.1) whose size is written once it is known.
func (c *Conn) nextChunk(out []byte, now Now) []byte {
	const digits = "0123456789abcdef"
	const size = "00000000\r\n"
	chunked := c.x.Request.Minor >= 1
	mark := len(out)
	if chunked {
		out = append(out, size...)
	}
	from := len(out)
	out, done := c.x.stream.Append(out)
	n := len(out) - from
	c.x.Bytes += int64(n)
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
