// Package proxyproto parses headers of the PROXY protocol, versions 1 and 2, with pure
// functions over bytes. A load balancer sends the header before the client's bytes, to pass
// the client's address on (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).
//
// [Parse] has no state: it is given all bytes so far, and returns the length of the header, 0
// if it needs more, or why the header is refused. Libraries such as pires/go-proxyproto read
// from a connection and block, which the event loop cannot do; and a connection with half a
// header must be able to move to another worker.
package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
)

// Header is the content of a header.
type Header struct {
	// Client is the address and the port of the client; invalid if the header has none.
	Client netip.AddrPort
	// Unix: the client reached the proxy through a unix socket.
	Unix bool
}

// Own reports whether the header names no client, as in a health check of the proxy: the peer
// is then the client.
func (h Header) Own() bool { return !h.Unix && !h.Client.IsValid() }

// Reason is why a header is refused.
type Reason uint8

// The reasons.
const (
	ReasonNone      Reason = iota
	ReasonMissing          // there is no header: the peer is not a proxy, or does not send one
	ReasonMalformed        // it violates the protocol
	ReasonTooLong
	ReasonChecksum // it was changed on its way
	ReasonTimeout  // it was not complete in time; never returned by [Parse]
	NumReasons
)

// String returns the reason as a metric's label.
func (r Reason) String() string {
	return [NumReasons]string{"none", "missing", "malformed", "too_long", "checksum", "timeout"}[r]
}

// MaxLen is the length of the longest accepted header in bytes. A header should have at most
// 536 (§2.2), but one with a client certificate is longer.
const MaxLen = 4096

// Parse parses the header at the beginning of p, which holds all bytes received so far. n is
// the header's length in bytes; 0: it is incomplete. Any reason but ReasonNone means that it
// is refused.
func Parse(p []byte) (h Header, n int, r Reason) {
	switch {
	case begins(p, signature1):
		return parse1(p)
	case begins(p, signature2):
		return parse2(p)
	}
	return h, 0, ReasonMissing
}

// begins reports whether p begins with the prefix, or may do so once it is longer.
func begins(p []byte, prefix string) bool {
	n := min(len(p), len(prefix))
	return string(p[:n]) == prefix[:n]
}

const (
	signature1 = "PROXY "
	// max1 is the length of the longest line of version 1 with its CRLF (§2.1).
	max1 = 107
)

// parse1 parses a header of version 1 (§2.1): "PROXY TCP4 192.0.2.1 192.0.2.2 1024 443\r\n".
func parse1(p []byte) (h Header, n int, r Reason) {
	end := bytes.IndexByte(p[:min(len(p), max1)], '\n')
	switch {
	case end < 0 && len(p) >= max1:
		return h, 0, ReasonTooLong
	case end < 0:
		return h, 0, ReasonNone
	case end < len(signature1) || p[end-1] != '\r':
		return h, 0, ReasonMalformed
	}
	line := p[len(signature1) : end-1]
	family, rest, more := bytes.Cut(line, []byte(" "))
	if string(family) == "UNKNOWN" {
		return h, end + 1, ReasonNone // the rest is ignored
	}
	if !more || string(family) != "TCP4" && string(family) != "TCP6" {
		return h, 0, ReasonMalformed
	}
	is4 := string(family) == "TCP4"
	var field [4][]byte // source, destination, and their ports
	for i := range field {
		if field[i], rest, more = bytes.Cut(rest, []byte(" ")); more != (i < len(field)-1) {
			return h, 0, ReasonMalformed
		}
	}
	source, ok := addr1(field[0], is4)
	_, ok2 := addr1(field[1], is4)
	port, ok3 := port1(field[2])
	_, ok4 := port1(field[3])
	if !ok || !ok2 || !ok3 || !ok4 {
		return h, 0, ReasonMalformed
	}
	h.Client = netip.AddrPortFrom(source, port)
	return h, end + 1, ReasonNone
}

// addr1 parses an IPv4 or IPv6 address.
func addr1(text []byte, is4 bool) (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(text))
	return a, err == nil && a.Is4() == is4 && a.Zone() == ""
}

// port1 parses a port without leading zeros.
func port1(text []byte) (port uint16, ok bool) {
	n, err := strconv.ParseUint(string(text), 10, 16)
	return uint16(n), err == nil && (text[0] != '0' || len(text) == 1)
}
