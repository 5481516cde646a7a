package conn

import (
	"bytes"
	"crypto/subtle"
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/proto"
)

// Reply handles one exchange, from the end of a request's head to the end of the response: all
// that is the same in every version of HTTP. It writes its response in the form of HTTP/1.1,
// without what belongs to the connection: the caller adds chunks, or translates the response
// for another version. A connection with one exchange at a time has one Reply; an HTTP/2
// connection has one for each stream.
//
// After [Reply.Open] comes [Reply.Answer]; while [Reply.Pending] says so,
// [Reply.Prepare]; then [Reply.Next] until it returns Close or Reset; and at the end
// [Reply.Finish], or at any time [Reply.Abort].
type Reply struct {
	cfg    *Config
	obs    Observer // or nil
	phase  replyPhase
	secure bool           // the connection uses TLS
	local  bool           // the connection comes from this machine, over a unix socket
	client *clientip.Addr // the connection's client; nil: it is not known

	segment Segment
	x       *Exchange // the exchange under way; nil: none
}

// replyPhase is how far a response is.
type replyPhase uint8

const (
	replyNone    replyPhase = iota // there is no response yet
	replyPrepare                   // credentials are checked, or a stream is prepared
	replySend                      // the response is being sent
	replyStream                    // the response is being made and sent
)

// NewReply returns a Reply for the exchanges of a connection, one at a time. obs may be
// nil.
func NewReply(cfg *Config, obs Observer) Reply { return Reply{cfg: cfg, obs: obs} }

// From sets the client's address; see [Conn.From].
func (r *Reply) From(client *clientip.Addr) {
	r.client = client
	if r.x != nil { // it comes from another worker
		r.attribute()
	}
}

// Open begins the exchange of a request whose head is complete and was read into req.
// Both are borrowed until the exchange ends. began is when the request's first byte came.
func (r *Reply) Open(req *proto.Request, head []byte, v Version, began time.Duration) {
	r.open(req, head, v, began)
	if r.obs != nil {
		r.obs.Received(r.x)
	}
}

// OpenRefused begins the exchange of a request that is refused before its head is complete.
// The observer's Received is not called. req has what is known about the request.
func (r *Reply) OpenRefused(req *proto.Request, v Version, began time.Duration) {
	r.open(req, nil, v, began)
}

// Exchange returns the exchange under way; nil: there is none.
func (r *Reply) Exchange() *Exchange { return r.x }

// Refuse appends the response to a request that cannot be understood or read to its
// end, as Answer does.
func (r *Reply) Refuse(out []byte, f proto.Fault, now Now) []byte {
	r.x.Closing, r.x.Fault, r.x.Headed = ClosingFault, f, now.Mono
	return r.fail(out, f.Status, now)
}

// Answer decides the response to a complete request, and appends its head, as lines of
// HTTP/1.1 up to the empty line, and perhaps content after it: the last Exchange.Bytes bytes.
// While the response is [Reply.Pending], it appends nothing.
func (r *Reply) Answer(out []byte, now Now) []byte {
	x := r.x
	x.Headed = now.Mono
	if len(r.cfg.Challenges) > 0 {
		if key, ok := r.challenge(); ok {
			return r.prove(out, key, now)
		}
	}
	if r.cfg.Access != nil && !r.admitted() {
		return r.fail(out, proto.StatusForbidden, now)
	}
	if x.site == nil {
		return r.page(out, proto.StatusMisdirectedRequest, nil, now)
	}
	if r.cfg.SecurePort != 0 && !x.Secure && !r.local && moves(x.Request) {
		return r.moveToSecure(out, now)
	}
	switch x.Request.Method {
	case proto.MethodGet, proto.MethodHead:
		out = r.get(out, now)
		x.Size = r.Left()
		return out
	case proto.MethodOptions:
		out = r.start(out, proto.StatusNoContent, SourceNone, now)
		out = proto.AppendField(out, "Allow", proto.Allow)
		if r.cfg.CORS && x.Request.Has(proto.FieldOrigin) {
			out = append(out, preflightFields...)
		}
		return r.end(out)
	case proto.MethodUnknown:
		return r.fail(out, proto.StatusNotImplemented, now)
	}
	return r.fail(out, proto.StatusMethodNotAllowed, now)
}

// Pending reports whether the response is not decided yet: credentials are being checked, or a
// stream is being prepared.
func (r *Reply) Pending() bool { return r.phase == replyPrepare }

// Next says where the next part of the content is: in the Segment (Send), appended to out
// (Flush), or not made yet (Await). Close means that the content ends with what was appended.
// Reset means that its source has failed and the response is truncated.
func (r *Reply) Next(out []byte, now Now) ([]byte, Step) {
	if r.phase == replyStream {
		return r.nextPiece(out)
	}
	if r.segment.Len == 0 && r.x.parts != nil {
		mark := len(out)
		out = r.nextPart(out)
		r.x.Bytes += int64(len(out) - mark)
	}
	if r.segment.Len > 0 {
		return out, Send
	}
	return out, Close
}

// Segment returns the part of a file to send in the step Send.
func (r *Reply) Segment() Segment { return r.segment }

// Last reports whether the segment is the end of the content.
func (r *Reply) Last() bool { return r.x.parts == nil }

// Left returns how many bytes of files the response still has to send.
func (r *Reply) Left() int64 {
	left := r.segment.Len
	if r.x != nil && r.x.parts != nil {
		for _, part := range r.x.parts.ranges {
			left += part.Len
		}
	}
	return left
}

// Sent reports that n bytes of the segment were sent.
func (r *Reply) Sent(n int64) {
	r.segment.Off += n
	r.segment.Len -= n
	r.x.Bytes += n
}

// Finish ends an exchange whose last byte has been passed to the caller.
func (r *Reply) Finish() {
	r.ended()
	r.Leave()
}

// Abort ends the exchange from outside, if there is one: the connection failed, the
// client no longer wants it, or the file has become shorter than announced. The cause
// goes to the observer when it truncates a response.
func (r *Reply) Abort(cause error) {
	if r.phase == replySend || r.phase == replyStream {
		r.x.Err = cause
		r.ended()
	}
	r.Leave()
}

func (r *Reply) ended() {
	if r.obs != nil {
		r.obs.Ended(r.x)
	}
}

// drop closes the file, whether or not it is being sent.
func (r *Reply) drop() {
	if r.segment.File != nil {
		r.segment.File.Close()
		r.segment = Segment{}
	}
}

// identify sets the id of the request: a valid one of the client, or a new one.
func (r *Reply) identify() {
	x := r.x
	if id := x.Value(proto.FieldRequestID); validID(id) {
		x.ID = append(x.ID, id...)
		return
	}
	x.ID = r.cfg.ID(x.ID)
}

// maxID is the length in bytes of the longest request id that is accepted from a client.
const maxID = 128

// validID reports whether a client's id can be copied into responses and logs: letters, digits
// and a few signs, as in a UUID or in base64.
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
func (r *Reply) get(out []byte, now Now) []byte {
	x := r.x
	if !r.authorized() {
		return r.challenged(out, sharedRealm, now)
	}
	x.Codings = proto.AcceptCodings(x.Request, x.Head)
	path, status := r.inside()
	switch status {
	case proto.StatusNotFound:
		return r.page(out, status, nil, now)
	case proto.StatusMovedPermanently:
		return r.redirect(out, now)
	}
	set := r.rules()
	if set.Forced() && set.Find(&r.cfg.match, r.ruled(path)) && r.cfg.match.Forced() && !r.undone(path) {
		if r.locked(path) {
			return r.fail(out, proto.StatusUnauthorized, now)
		}
		return r.applyRule(out, now)
	}
	if r.cfg.Archive != nil && x.Request.Query.Len > 0 {
		if format := r.cfg.Archive(x.Request.Query.In(x.Head)); format != "" && (len(path) == 0 || path[len(path)-1] == '/') {
			return r.archive(out, path, format, now)
		}
	}
	f, status := x.site.Open(path, x.Codings, &x.access)
	if (status == proto.StatusNotFound || status == proto.StatusForbidden) && set.Redirects() && r.decides(set, path) {
		return r.applyRule(out, now)
	}
	if status == proto.StatusNotFound && r.cfg.Fallback && proto.Navigates(x.Request, x.Head) {
		f, status = x.site.Fallback(path, x.Codings, &x.access)
	}
	switch status {
	case proto.StatusOK:
		r.segment.File = f
		return r.file(out, now)
	case proto.StatusMovedPermanently:
		return r.redirect(out, now)
	case proto.StatusPermanentRedirect:
		return r.moveToClean(out, now)
	case proto.StatusForbidden:
		if r.cfg.List {
			return r.list(out, path, now)
		}
	}
	return r.fail(out, status, now)
}

// inside returns what follows the prefix in the request's path, with 200. 301 means that the
// path is the prefix without its slash, 404 that it does not begin with the prefix.
func (r *Reply) inside() (path []byte, s proto.Status) {
	if len(r.x.Head) == 0 {
		return nil, proto.StatusOK
	}
	path = r.x.Request.Path.In(r.x.Head)
	n := len(r.cfg.Prefix)
	switch {
	case n == 0:
		return path, proto.StatusOK
	case len(path) < n || subtle.ConstantTimeCompare(path[:n], []byte(r.cfg.Prefix)) != 1:
		return nil, proto.StatusNotFound
	case len(path) == n:
		return nil, proto.StatusMovedPermanently
	case path[n] != '/':
		return nil, proto.StatusNotFound
	}
	return path[n:], proto.StatusOK
}

// redirect redirects the client to the directory's path with its slash, on this host and with
// its query.
func (r *Reply) redirect(out []byte, now Now) []byte {
	path := r.x.Request.Path.In(r.x.Head)
	r.x.Moved = MovedSlash
	return r.moveTo(out, proto.StatusMovedPermanently, append(append([]byte(nil), path...), '/'), now)
}

// moveTo redirects the client to a path on this host, with its query. Leading slashes become
// one, because a location that begins with two slashes names a host.
func (r *Reply) moveTo(out []byte, s proto.Status, path []byte, now Now) []byte {
	location := append([]byte("/"), bytes.TrimLeft(path, "/")...)
	location = append(location, r.x.Request.Query.In(r.x.Head)...)
	return r.page(out, s, proto.AppendEscaped(nil, location, inURI), now)
}

// inURI reports whether a URI may contain the byte. A backslash is not allowed:
// browsers treat it as a slash, and "/\host" would lead to another host.
func inURI(c byte) bool {
	return ' ' < c && c < 0x7f && bytes.IndexByte([]byte("\"<>\\^`{|}"), c) < 0
}

// start appends the status line and the fields of every response, once everything has been
// decided.
func (r *Reply) start(out []byte, s proto.Status, from Source, now Now) []byte {
	x := r.x
	x.Status, x.Source, x.head = s, from, len(out)
	r.findFields()
	r.phase = replySend
	if r.cfg.ID != nil {
		r.identify()
	}
	if r.obs != nil {
		x.File = r.segment.File
		r.obs.Decided(x)
		x.File = nil
	}
	out = proto.AppendStatusLine(out, s)
	out = append(out, now.Second.common...)
	if x.Secure {
		out = append(out, now.Second.strict...)
	}
	if len(x.ID) > 0 {
		out = append(append(append(out, "X-Request-Id: "...), x.ID...), "\r\n"...)
	}
	switch {
	case x.Version == HTTP2: // there is no Connection field (RFC 9113 §8.2.2)
	case x.Closing != Persistent:
		out = append(out, "Connection: close\r\n"...)
	case x.Version == HTTP10:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	return out
}

// end appends the empty line that ends the head.
func (r *Reply) end(out []byte) []byte { return r.amend(append(out, "\r\n"...)) }
