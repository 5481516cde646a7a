package h2

import (
	"bytes"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

// This file translates a header block into an HTTP/1.1 request head, so that one parser serves
// both versions. It refuses what only HTTP/2 forbids, and bytes that would split a field in
// two (RFC 9113 §8.2, §8.3, §10.3).

// request is memory for the pseudo-header fields of the request that is being decoded.
type request struct {
	method, path, authority, scheme []byte
	seen                            uint8 // a bit for each of them
	size                            int   // of the header list
	cookie                          int   // length of the head up to its last field, if that is Cookie; else less
}

const (
	seenMethod = 1 << iota
	seenPath
	seenAuthority
	seenScheme
)

// bombSize is the size in bytes from which a header list ends the connection at once: fields
// of large table entries cost the client one byte each.
const bombSize = 8 * MaxHeaderList

// verdict is the result of decoding a header block.
type verdict uint8

const (
	verdictRequest   verdict = iota // the stream's parser decides
	verdictMalformed                // a stream error (RFC 9113 §8.1.1)
	verdictBroken                   // a connection error: later blocks cannot be decoded
	verdictTooLarge                 // 431
)

// decode decodes a header block into the head of a stream's request.
func (c *Conn) decode(s *stream, block []byte) verdict {
	r := &c.cfg.request
	r.seen, r.size, r.cookie = 0, 0, 0
	result, begun := verdictRequest, false
	s.head = s.head[:0]
	c.decoder.Begin()
	for {
		f, rest, ok, err := c.decoder.Next(block, &c.cfg.scratch)
		if err != nil {
			return verdictBroken
		}
		if !ok {
			break
		}
		block = rest
		if r.size += f.Size(); r.size > bombSize {
			c.calm = ReasonHeaderLists
			return verdictTooLarge
		}
		if r.size > MaxHeaderList && result == verdictRequest {
			result = verdictTooLarge
		}
		if result != verdictRequest {
			// Only the table matters, and the method: a response to HEAD has no content.
			if string(f.Name) == ":method" && string(f.Value) == "HEAD" {
				r.pseudo(f.Name, f.Value)
			}
			continue
		}
		switch {
		case len(f.Name) > 0 && f.Name[0] == ':':
			if begun || !r.pseudo(f.Name, f.Value) {
				result = verdictMalformed
			}
			continue
		case !begun:
			if begun = true; !r.begin(s) {
				result = verdictMalformed
				continue
			}
		}
		if !c.field(s, f.Name, f.Value) {
			result = verdictMalformed
		}
	}
	if result == verdictRequest && !begun && !r.begin(s) {
		result = verdictMalformed
	}
	if result == verdictTooLarge && r.seen&seenMethod != 0 {
		// Not the rest: it is incomplete, and the path may not have fitted.
		s.head = append(append(s.head[:0], r.method...), " * HTTP/1.1\r\n"...)
	}
	s.head = append(s.head, "\r\n"...)
	return result
}

// pseudo stores a pseudo-header field (RFC 9113 §8.3.1); false if it makes the request
// malformed.
func (r *request) pseudo(name, value []byte) bool {
	var to *[]byte
	var bit uint8
	switch string(name) {
	case ":method":
		to, bit = &r.method, seenMethod
	case ":path":
		to, bit = &r.path, seenPath
	case ":authority":
		to, bit = &r.authority, seenAuthority
	case ":scheme":
		to, bit = &r.scheme, seenScheme
	default:
		return false
	}
	if r.seen&bit != 0 || bit != seenAuthority && len(value) == 0 {
		return false
	}
	r.seen |= bit
	*to = append((*to)[:0], value...)
	return true
}

// begin appends the request line and Host; false if the request is malformed.
func (r *request) begin(s *stream) bool {
	target := r.path
	const all = seenMethod | seenPath | seenScheme
	switch {
	case r.seen&seenMethod == 0:
		return false
	case string(r.method) == "CONNECT":
		// RFC 9113 §8.5
		if r.seen != seenMethod|seenAuthority {
			return false
		}
		target = r.authority
	case r.seen&all != all || target[0] != '/' && string(target) != "*":
		return false
	}
	if !visible(r.method) || !visible(target) || r.seen&seenAuthority != 0 && !visible(r.authority) {
		return false
	}
	s.head = append(append(s.head, r.method...), ' ')
	s.head = append(append(s.head, target...), " HTTP/1.1\r\n"...)
	if r.seen&seenAuthority != 0 {
		s.head = append(append(append(s.head, "host: "...), r.authority...), "\r\n"...)
	}
	return true
}

// field appends a field; false if it makes the request malformed.
func (c *Conn) field(s *stream, name, value []byte) bool {
	if !validName(name) || !validValue(value) {
		return false
	}
	r := &c.cfg.request
	switch string(name) {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return false // RFC 9113 §8.2.2
	case "te":
		if string(value) != "trailers" {
			return false
		}
	case "host":
		// RFC 9113 §8.3.1: it must not differ from :authority.
		if r.seen&seenAuthority != 0 {
			return bytes.EqualFold(value, r.authority)
		}
	case "cookie":
		// RFC 9113 §8.2.3: clients send each cookie in a field of its own.
		if r.cookie == len(s.head) {
			s.head = append(s.head[:r.cookie-len("\r\n")], "; "...)
		} else {
			s.head = append(s.head, "cookie: "...)
		}
		s.head = append(append(s.head, value...), "\r\n"...)
		r.cookie = len(s.head)
		return true
	case "priority":
		c.prioritized = true
		s.priority = parsePriority(value)
	}
	s.head = append(append(s.head, name...), ": "...)
	s.head = append(append(s.head, value...), "\r\n"...)
	return true
}

// visible reports whether p has no control characters and no spaces.
func visible(p []byte) bool {
	for _, b := range p {
		if b <= ' ' || b == 0x7f {
			return false
		}
	}
	return true
}

// validName reports whether name is a field name: a token in lower case (RFC 9113 §8.2.1).
func validName(name []byte) bool {
	for _, b := range name {
		if 'A' <= b && b <= 'Z' || !proto.IsTokenByte(b) {
			return false
		}
	}
	return len(name) > 0
}

// validValue reports whether value obeys RFC 9113 §8.2.1. The parser checks the rest.
func validValue(value []byte) bool {
	if len(proto.Trim(value)) < len(value) {
		return false
	}
	for _, b := range value {
		if b == 0 || b == '\r' || b == '\n' {
			return false
		}
	}
	return true
}

// trailers decodes a header block whose fields are not used, which keeps the decoder's table
// in step with the client's.
func (c *Conn) trailers(block []byte) verdict {
	result, size, large := verdictRequest, 0, false
	c.decoder.Begin()
	for {
		f, rest, ok, err := c.decoder.Next(block, &c.cfg.scratch)
		if size += f.Size(); size > bombSize {
			c.calm = ReasonHeaderLists
			return result
		}
		if size > MaxHeaderList && !large {
			large = true
			c.spend(costStreamError, ReasonHeaderLists)
		}
		switch {
		case err != nil:
			return verdictBroken
		case !ok:
			return result
		case !validName(f.Name) || !validValue(f.Value):
			result = verdictMalformed // pseudo-header fields too (RFC 9113 §8.1)
		}
		block = rest
	}
}

var tooMany = proto.Fault{Status: proto.StatusHeaderFieldsTooLarge, Reason: "the header list is too long", Rule: "RFC 9113 §6.5.2"}

// began processes a request whose header block is complete. end: it has no content.
func (c *Conn) began(out []byte, s *stream, end bool, now conn.Now) []byte {
	s.ended = end
	if s.parser.Parse(s.head) != proto.Complete {
		s.fault = s.parser.Fault()
		c.complete(s, now)
		return out
	}
	r := s.parser.Request()
	s.whole = true
	if s.sized, s.left = r.Has(proto.FieldContentLength), proto.MaxBody; s.sized {
		s.left = r.Length
	}
	switch {
	case end && r.Length > 0:
		return c.streamError(out, s.id, ProtocolError) // RFC 9113 §8.1.1
	case end || r.Expect && !conn.ReadsBody(r.Method):
		// Content without Expect is discarded first even if the method is refused: curl
		// drops a response that is followed by a reset.
		c.complete(s, now)
	case r.Length > proto.MaxBody:
		s.fault = conn.TooLong
		c.complete(s, now)
	case r.Expect:
		out = c.appendHead(out, s.id, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	return out
}

// complete queues a request for its response.
func (c *Conn) complete(s *stream, now conn.Now) {
	c.answering++
	c.offered(now)
	s.phase, s.since = streamReady, now.Mono
	c.schedule(s)
}
