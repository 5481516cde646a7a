package proto

import (
	"bytes"
	"net/netip"
)

// parseTarget splits the request target (RFC 9112 §3.2) into path and query. Authority-form is
// for CONNECT only, asterisk-form for OPTIONS only.
func (p *Parser) parseTarget(buf []byte) {
	r := &p.req
	target := r.Target.In(buf)
	off := int(r.Target.Off)
	switch {
	case r.Method == MethodConnect:
		if !validHost(target) || bytes.IndexByte(target, ':') < 0 {
			p.refuse(StatusBadRequest, "RFC 9112 §3.2.3", "the target of CONNECT is not host:port")
		}
		return
	case len(target) == 1 && target[0] == '*' && (r.Method == MethodOptions || r.Method == MethodUnknown):
		r.Asterisk = true
		return
	case target[0] == '/':
		// origin-form
	default:
		n := authority(target)
		if n < 0 {
			p.refuse(StatusBadRequest, "RFC 9112 §3.2", "the target is neither a path nor an http URI")
			return
		}
		off += n
	}
	end := int(r.Target.Off) + int(r.Target.Len)
	rest := buf[off:end]
	if i := bytes.IndexByte(rest, '#'); i >= 0 {
		p.refuse(StatusBadRequest, "RFC 9112 §3.2", "the target has a fragment")
		return
	}
	path := end
	if i := bytes.IndexByte(rest, '?'); i >= 0 {
		path = off + i
	}
	r.Path = span(off, path)
	r.Query = span(path, end)
}

// authority returns the length of "http://host:port" at the start of an
// absolute-form target, or -1 if it has none.
func authority(target []byte) int {
	scheme := 0
	switch {
	case len(target) > 7 && EqualFold(target[:7], "http://"):
		scheme = 7
	case len(target) > 8 && EqualFold(target[:8], "https://"):
		scheme = 8
	default:
		return -1
	}
	end := len(target)
	if i := bytes.IndexAny(target[scheme:], "/?#"); i >= 0 {
		end = scheme + i
	}
	// An http URI with an empty host is invalid (RFC 9110 §4.2.1).
	if end == scheme || !validHost(target[scheme:end]) {
		return -1
	}
	return end
}

// validHost reports whether v is "uri-host [ : port ]" (RFC 9110 §7.2). It is empty if the
// client's target URI has no authority.
func validHost(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	host, port := v, []byte(nil)
	if v[0] == '[' {
		end := bytes.IndexByte(v, ']')
		if end < 0 || !validLiteral(v[1:end]) {
			return false
		}
		if host, port = nil, v[end+1:]; len(port) > 0 && port[0] != ':' {
			return false
		}
	} else if i := bytes.IndexByte(v, ':'); i >= 0 {
		host, port = v[:i], v[i:]
		if i == 0 {
			return false
		}
	}
	for i := 1; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return len(port) <= len(":65535") && validName(host)
}

// validName reports whether v is a reg-name (RFC 3986 §3.2.2).
func validName(v []byte) bool {
	for i := 0; i < len(v); i++ {
		if v[i] == '%' {
			if i+2 >= len(v) || !is(v[i+1], charHex) || !is(v[i+2], charHex) {
				return false
			}
			i += 2
			continue
		}
		if !is(v[i], charHost) {
			return false
		}
	}
	return true
}

// validLiteral reports whether v is valid in brackets: IPv6address or IPvFuture (RFC 3986
// §3.2.2), without a zone.
func validLiteral(v []byte) bool {
	if len(v) > 0 && v[0]|0x20 == 'v' {
		return validFuture(v[1:])
	}
	// The copy is the only allocation for a request; few clients name their server by such an address.
	addr, err := netip.ParseAddr(string(v))
	return err == nil && addr.Is6() && addr.Zone() == ""
}

// validFuture reports whether "v" followed by v is an IPvFuture.
func validFuture(v []byte) bool {
	dot := bytes.IndexByte(v, '.')
	if dot < 1 || dot == len(v)-1 || !all(v[:dot], charHex) {
		return false
	}
	for _, c := range v[dot+1:] {
		if !is(c, charHost) && c != ':' {
			return false
		}
	}
	return true
}
