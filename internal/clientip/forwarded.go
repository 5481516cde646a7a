package clientip

import (
	"bytes"
	"net/netip"
	"unsafe"

	"phalanx/internal/proto"
)

// Trust is the list of trusted proxies and the header field in which they name the client.
// Proxies append to the field, so what a client has forged is on the left. The field is
// therefore read from right to left, as far as trusted proxies have written it.
type Trust struct {
	Networks *Networks
	// Field is the name of the header field in lower case. "forwarded" has the syntax of RFC
	// 7239, every other field is a list of addresses like X-Forwarded-For.
	Field string
}

// FieldForwarded is the name of the field of RFC 7239 in lower case.
const FieldForwarded = "forwarded"

// Scheme is the URI scheme that a client used with its proxy.
type Scheme uint8

// The schemes.
const (
	SchemeUnknown Scheme = iota
	SchemeHTTP
	SchemeHTTPS
)

// ParseScheme parses the name of a scheme, in any case.
func ParseScheme(p []byte) Scheme {
	switch {
	case bytes.EqualFold(p, []byte("https")):
		return SchemeHTTPS
	case bytes.EqualFold(p, []byte("http")):
		return SchemeHTTP
	}
	return SchemeUnknown
}

// Trusts reports whether a peer is a trusted proxy.
func (t *Trust) Trusts(peer Addr) bool { return t != nil && t.Networks.Contains(peer) }

// Client returns the client of a request from peer, and the scheme that the client used if the
// field has it. lines are the values of the field's lines, in order. The client is the first
// address from the right that is not a trusted proxy, or the leftmost one if all are trusted.
// An element that is malformed or hides its address ends the search; the client is then the
// last valid address, or peer if there was none.
func (t *Trust) Client(peer Addr, lines [][]byte) (client Addr, scheme Scheme) {
	client = peer
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; len(rest) > 0; {
			if !t.Networks.Contains(client) {
				return client, scheme
			}
			var e element
			var ok bool
			if t.Field == FieldForwarded {
				e, rest, ok = lastElement(rest)
			} else {
				e, rest, ok = lastAddress(rest)
			}
			switch {
			case !ok:
				return client, scheme
			case e.empty:
				continue
			}
			client, scheme = e.client, e.scheme
		}
	}
	return client, scheme
}

// element is the list element that one proxy has appended.
type element struct {
	empty   bool // allowed in lists (RFC 9110 §5.6.1)
	client  Addr
	scheme  Scheme
	schemed bool // it has a scheme
}

// lastAddress splits off the last element of a list of addresses.
func lastAddress(list []byte) (e element, rest []byte, ok bool) {
	i := bytes.LastIndexByte(list, ',')
	text := proto.Trim(list[i+1:])
	if rest = list[:max(i, 0)]; len(text) == 0 {
		return element{empty: true}, rest, true
	}
	e.client, ok = parseNode(text)
	return e, rest, ok
}

// lastElement splits off the last element of a Forwarded field. A comma may be inside a quoted
// string. What follows such a comma is not a valid element, because of the closing quote. So
// the shortest valid element at the end is the last one, whatever a client has written before
// it.
func lastElement(list []byte) (e element, rest []byte, ok bool) {
	for i := len(list); i >= 0; {
		i = bytes.LastIndexByte(list[:i], ',')
		text := proto.Trim(list[i+1:])
		if rest = list[:max(i, 0)]; len(text) == 0 {
			return element{empty: true}, rest, true
		}
		if e, ok = parseElement(text); ok {
			return e, rest, true
		}
	}
	return e, nil, false
}

// parseElement parses name=value pairs separated by semicolons (RFC 7239 §4); pairs may be
// empty. An element without "for" is invalid: a hop would be missing.
func parseElement(p []byte) (e element, ok bool) {
	for {
		if p = bytes.TrimLeft(p, ";"); len(p) == 0 {
			return e, e.client.Known()
		}
		i := bytes.IndexByte(p, '=')
		if i <= 0 || !proto.IsToken(text(p[:i])) {
			return e, false
		}
		name := p[:i]
		value, rest, valid := cutValue(p[i+1:])
		if !valid {
			return e, false
		}
		switch {
		case bytes.EqualFold(name, []byte("for")):
			if e.client.Known() {
				return e, false
			}
			if e.client, valid = parseNode(value); !valid {
				return e, false
			}
		case bytes.EqualFold(name, []byte("proto")):
			if e.schemed {
				return e, false
			}
			e.scheme, e.schemed = ParseScheme(value), true
		}
		if len(rest) > 0 && rest[0] != ';' {
			return e, false
		}
		p = rest
	}
}

// cutValue splits off a token or a quoted string.
func cutValue(p []byte) (value, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != '"' {
		n := 0
		for n < len(p) && proto.IsTokenByte(p[n]) {
			n++
		}
		return p[:n], p[n:], n > 0
	}
	escaped := false
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '"':
			if value = p[1:i]; escaped {
				value = unescaped(value)
			}
			return value, p[i+1:], true
		case '\\':
			escaped = true
			i++
		}
	}
	return nil, nil, false
}

// unescaped returns the content of a quoted string without its backslashes.
func unescaped(p []byte) (value []byte) {
	for i := 0; i < len(p); i++ {
		if p[i] == '\\' {
			i++
		}
		value = append(value, p[i])
	}
	return value
}

// parseNode parses an IP address with an optional port. An IPv6 address may be in brackets,
// and must be if it has a port (RFC 7239 §6). "unknown", and names that begin with "_", are
// not addresses.
func parseNode(p []byte) (Addr, bool) {
	const longest = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535")
	if len(p) == 0 || len(p) > longest {
		return Addr{}, false
	}
	var ap netip.AddrPort
	var err error
	inner, bracketed := bytes.CutPrefix(p, []byte("["))
	ended := bytes.HasSuffix(p, []byte("]"))
	switch {
	case bracketed && ended:
		var ip netip.Addr
		if ip, err = netip.ParseAddr(text(inner[:len(inner)-1])); ip.Is4() {
			return Addr{}, false
		}
		ap = netip.AddrPortFrom(ip, 0)
	case bracketed || bytes.Count(p, []byte(":")) == 1:
		ap, err = netip.ParseAddrPort(text(p))
	default:
		var ip netip.Addr
		ip, err = netip.ParseAddr(text(p))
		ap = netip.AddrPortFrom(ip, 0)
	}
	if err != nil || ap.Addr().Zone() != "" {
		return Addr{}, false
	}
	return From(ap), true
}

// text returns p as a string without a copy, for parsers that do not keep it except in errors,
// which are discarded here.
func text(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
