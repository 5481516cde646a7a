package conn

import (
	"bytes"
	"strings"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// list answers with a directory listing, as JSON if the client prefers that.
func (r *Reply) list(out, path []byte, now Now) []byte {
	req, head := r.x.Request, r.x.Head
	query := req.Query.In(head)
	json := bytes.Contains(query, []byte("format=json")) ||
		proto.Accepts(req, head, "application", "json") > proto.Accepts(req, head, "text", "html")
	stream, status := r.x.site.List(path, query, json, &r.x.access)
	return r.stream(out, stream, status, SourceListing, now)
}

// archive answers with an archive of a directory.
func (r *Reply) archive(out, path []byte, format string, now Now) []byte {
	stream, status := r.x.site.Archive(path, format, &r.x.access)
	return r.stream(out, stream, status, SourceArchive, now)
}

// stream begins to answer with a stream, unless the status is an error.
func (r *Reply) stream(out []byte, stream Stream, status proto.Status, from Source, now Now) []byte {
	if status != proto.StatusOK {
		return r.fail(out, status, now)
	}
	if r.x.Version == HTTP10 && r.x.Closing == Persistent {
		r.x.Closing = ClosingLength
	}
	r.phase, r.x.stream, r.x.Source = replyPrepare, stream, from
	return out
}

// Prepare continues the check of credentials, or the work of a stream that comes before its
// response, which can still become an error. It appends what Answer would have appended, or
// nothing while the response is still [Reply.Pending].
func (r *Reply) Prepare(out []byte, now Now) []byte {
	if r.x.check != nil {
		return r.prepareAccess(out, now)
	}
	stream := r.x.stream
	ready, status := stream.Prepare()
	switch {
	case status != proto.StatusOK:
		stream.Close()
		r.x.stream = nil
		return r.fail(out, status, now)
	case ready:
		return r.startStream(out, stream, now)
	}
	return out
}

// startStream appends the head of a response with a stream, or the response that its
// preconditions require.
func (r *Reply) startStream(out []byte, stream Stream, now Now) []byte {
	x := r.x
	var status proto.Status
	v := proto.Validators{ETag: stream.ETag(), Undated: true, Date: now.Second.Unix}
	if len(v.ETag) == 0 {
		status = proto.StatusOK // without a validator no precondition applies
	} else {
		status, x.Conditions = proto.Precondition(x.Request, x.Head, v)
	}
	if status != proto.StatusOK || x.Request.Method == proto.MethodHead {
		stream.Close()
		x.stream = nil
	}
	if status == proto.StatusPreconditionFailed {
		return r.fail(out, status, now)
	}
	out = r.start(out, status, x.Source, now)
	out = append(append(out, now.Second.born...), now.Second.stale...)
	out = append(out, "Cache-Control: no-cache\r\n"...)
	if x.Source == SourceListing {
		out = append(out, "Vary: Accept\r\n"...)
	}
	if len(v.ETag) > 0 {
		out = append(append(append(out, "ETag: "...), v.ETag...), "\r\n"...)
	}
	if status == proto.StatusNotModified {
		return r.end(out)
	}
	if now.Second.policy != "" && x.Source == SourceListing {
		out = append(out, theme.ListingPolicy...)
	}
	if name := stream.FileName(); name != "" {
		out = appendDisposition(out, name)
		out = append(out, "Accept-Ranges: none\r\n"...)
	}
	out = proto.AppendField(out, "Content-Type", stream.ContentType())
	if x.Version == HTTP11 {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if x.stream != nil {
		r.phase = replyStream
	}
	return r.end(out)
}

// appendDisposition appends the field that makes a browser save the content under a name
// (RFC 6266): in UTF-8 as in RFC 8187, and for old clients in ASCII, with "_" in place of all
// other characters and of those with a meaning in the field.
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

// Await calls wake once, from any goroutine, when [Reply.Prepare] or [Reply.Next] have more to
// do. It returns false if they have more to do already.
func (r *Reply) Await(wake func()) bool {
	switch {
	case r.x == nil:
		return false
	case r.x.check != nil:
		return r.x.check.Await(wake)
	}
	return r.x.stream != nil && r.x.stream.Await(wake)
}

// nextPiece appends what the stream has ready.
func (r *Reply) nextPiece(out []byte) ([]byte, Step) {
	mark := len(out)
	out, done, err := r.x.stream.Append(out)
	n := len(out) - mark
	r.x.Bytes += int64(n)
	switch {
	case err != nil:
		r.Abort(err)
		return out, Reset
	case done:
		return out, Close
	case n == 0:
		return out, Await
	}
	return out, Flush
}
