package proto

import "bytes"

// Span is a piece of a request head: Len bytes from Off, counted from the
// first byte of the head. A head is at most [MaxHead] bytes long, so both
// fit.
type Span struct{ Off, Len uint16 }

func span(from, to int) Span { return Span{uint16(from), uint16(to - from)} }

// In returns the bytes of the span in the head that it was taken from.
func (s Span) In(head []byte) []byte { return head[s.Off : s.Off+s.Len] }

// Request is a parsed request head. It refers to the bytes of the head by offsets and holds no
// pointer.
type Request struct {
	Method   Method
	Minor    uint8 // the version is HTTP/1.Minor; 0 or 1
	Asterisk bool  // the target is "*" (RFC 9112 §3.2.4)
	Chunked  bool  // a chunked body follows
	Expect   bool  // the client waits for 100 Continue (RFC 9110 §10.1.1)
	// WantsDigest: the client wants the SHA-256 digest of the representation (RFC 9530 §4).
	WantsDigest bool

	close     bool // Connection: close
	keepAlive bool // Connection: keep-alive

	MethodName Span
	Target     Span  // as it was sent
	Path       Span  // of the target, without query; empty stands for "/"
	Query      Span  // of the target, with its "?"; empty when there is none
	Length     int64 // of the body, from Content-Length; 0 when there is none

	fields   [numFields]Span
	present  uint32 // a bit for each Field that occurs
	repeated uint32 // a bit for each Field that occurs more than once
}

// KeepAlive reports whether the client allows a persistent connection (RFC 9112 §9.3).
func (r *Request) KeepAlive() bool {
	return !r.close && (r.Minor >= 1 || r.keepAlive)
}

// HasBody reports whether a body follows the head.
func (r *Request) HasBody() bool { return r.Chunked || r.Length > 0 }

// Has reports whether the head has the field.
func (r *Request) Has(f Field) bool { return r.present&(1<<f) != 0 }

// Value returns the value of the field's first line in the head, trimmed; nil if there is
// none.
func (r *Request) Value(head []byte, f Field) []byte {
	if !r.Has(f) {
		return nil
	}
	return r.fields[f].In(head)
}

// Values calls yield with the value of each line of the field in the head,
// in order, until yield returns false: a list may be spread over several
// lines (RFC 9110 §5.3).
func (r *Request) Values(head []byte, f Field) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		if !r.Has(f) || !yield(r.fields[f].In(head)) || r.repeated&(1<<f) == 0 {
			return
		}
		rest := head[r.fields[f].Off:]
		for {
			var line []byte
			_, rest = cutLine(rest)
			line, _ = cutLine(rest)
			if len(line) == 0 {
				return
			}
			name, value := cutField(line)
			if lookupField(name) == f && !yield(value) {
				return
			}
		}
	}
}

// AppendValues appends the value of each line of a field in a complete head, in order. It
// works for every field; lower is the name in lower case.
func AppendValues(dst [][]byte, head []byte, lower string) [][]byte {
	_, rest := cutLine(head)
	for len(rest) > 0 {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) <= len(lower) || line[len(lower)] != ':' || !EqualFold(line[:len(lower)], lower) {
			continue
		}
		_, value := cutField(line)
		dst = append(dst, value)
	}
	return dst
}

// Host returns the host of the request without its port: from the target if that is an
// absolute URI, else from the Host field (RFC 9112 §3.2.2). It is a name, an IPv4 address or
// an IP literal in brackets; empty if the client named none.
func (r *Request) Host(head []byte) []byte {
	host, _ := r.hostPort(head)
	return host
}

// Port returns the port that the client named with the host; empty if it named none.
func (r *Request) Port(head []byte) []byte {
	_, port := r.hostPort(head)
	return port
}

func (r *Request) hostPort(head []byte) (host, port []byte) {
	host = r.Value(head, FieldHost)
	if r.Path.Off > r.Target.Off { // after scheme and authority
		host = head[r.Target.Off:r.Path.Off]
		host = host[bytes.IndexByte(host, ':')+len("://"):]
	}
	return CutPort(host)
}

// CutPort cuts the port off a host. It is empty if there is none.
func CutPort(authority []byte) (host, port []byte) {
	if i := bytes.LastIndexByte(authority, ':'); i > bytes.LastIndexByte(authority, ']') {
		return authority[:i], authority[i+1:]
	}
	return authority, nil
}

// cutLine splits p at its first CRLF.
func cutLine(p []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(p, []byte("\r\n"))
	return line, rest
}

// cutField splits a field line, known to be well-formed, at its colon.
func cutField(line []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(line, []byte(":"))
	return name, Trim(value)
}
