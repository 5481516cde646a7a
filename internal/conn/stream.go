package conn

import (
	"bytes"
	"strings"

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
	return c.stream(out, stream, status, SourceListing, now)
}

// archive answers with an archive of a directory.
func (c *Conn) archive(out, path []byte, format string, now Now) []byte {
	stream, status := c.cfg.Site.Archive(path, format)
	return c.stream(out, stream, status, SourceArchive, now)
}

// stream begins to answer with a stream, unless the status is an error.
func (c *Conn) stream(out []byte, stream Stream, status proto.Status, from Source, now Now) []byte {
	if status != proto.StatusOK {
		return c.fail(out, status, now)
	}
	if c.x.Request.Minor == 0 && c.x.Closing == Persistent {
		c.x.Closing = ClosingLength
	}
	c.phase, c.since, c.x.stream, c.x.Source = phasePrepare, now.Mono, stream, from
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
	if len(v.ETag) == 0 {
		status = proto.StatusOK // without a validator no precondition says anything
	} else {
		status, x.Conditions = proto.Precondition(x.Request, x.Head, v)
	}
	if status != proto.StatusOK || x.Request.Method == proto.MethodHead {
		stream.Close()
		x.stream = nil
	}
	if status == proto.StatusPreconditionFailed {
		return c.fail(out, status, now)
	}
	out = c.start(out, status, x.Source, now)
	out = append(append(out, now.Second.born...), now.Second.stale...)
	out = append(out, "Cache-Control: no-cache\r\n"...)
	if x.Source == SourceListing {
		out = append(out, "Vary: Accept\r\n"...)
	}
	if len(v.ETag) > 0 {
		out = append(append(append(out, "ETag: "...), v.ETag...), "\r\n"...)
	}
	if status == proto.StatusNotModified {
		return c.end(out)
	}
	if now.Second.policy != "" && x.Source == SourceListing {
		out = append(out, theme.ListingPolicy...)
	}
	if name := stream.FileName(); name != "" {
		out = appendDisposition(out, name)
		out = append(out, "Accept-Ranges: none\r\n"...)
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

// appendDisposition appends the field that makes a browser save the content under a
// name (RFC 6266), in UTF-8 as RFC 8187 has it, and for old clients in ASCII, with
// "_" for what would have another meaning there.
func appendDisposition(out []byte, name string) []byte {
	out = append(out, "Content-Disposition: attachment; filename=\""...)
	for _, c := range name {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '%' {
			c = '_'
		}
		out = append(out, byte(c))
	}
	out = append(out, "\"; filename*=UTF-8''"...)
	out = proto.AppendEscaped(out, strings.ToValidUTF8(name, "\ufffd"), isAttrChar)
	return append(out, "\r\n"...)
}

// isAttrChar reports whether a byte stands for itself in an extended parameter
// (RFC 8187 §3.2.1).
func isAttrChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}

// Await calls wake once, from any goroutine, when [Conn.Next] has more to do after the
// step Await; false: it has already.
func (c *Conn) Await(wake func()) bool {
	return c.x != nil && c.x.stream != nil && c.x.stream.Await(wake)
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
	out, done, err := c.x.stream.Append(out)
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
	switch {
	case err != nil:
		// Without the last chunk, or with a reset, the client sees that it is not all.
		c.Abort(err)
		c.phase = phaseReset
	case done:
		if chunked {
			out = append(out, "0\r\n\r\n"...)
		}
		c.finish(now)
	}
	return out
}
