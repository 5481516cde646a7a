// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2, as pure
// functions over bytes: it is what a load balancer sends before the client's bytes, to say
// whose connection it passes on
// (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).
//
// [Parse] needs no state: it is given all bytes so far, and says that it needs more, how
// long the header is, or why it is refused. The parsers of others, such as
// pires/go-proxyproto, read from a connection, and block until it has sent enough; here
// nothing may block, and a connection with half a header has to move to other workers.
package proxyproto

import (
	"bytes"
	"net/netip"
)

// Header is what a header says of the client.
type Header struct {
	// Client is the address and the port of the client; invalid if the header has none.
	Client netip.AddrPort
	// Unix says that the client came to the proxy through a unix socket.
	Unix bool
}

// Own reports whether the connection is the proxy's own, such as a health check, or one of
// which it says nothing: the client's address is the proxy's.
func (h Header) Own() bool { return !h.Unix && !h.Client.IsValid() }

// Reason is why a header is refused.
type Reason uint8

// The reasons.
const (
	ReasonNone      Reason = iota
	ReasonMissing          // something else was sent: the client is no proxy, or the proxy sends none
	ReasonMalformed        // it breaks the rules of its version
	ReasonTooLong
	ReasonChecksum // it was changed on its way
	ReasonTimeout  // it was not complete in time; [Parse] does not know that
	NumReasons
)

// String returns the name that metrics have.
func (r Reason) String() string {
	return [NumReasons]string{"none", "missing", "malformed", "too_long", "checksum", "timeout"}[r]
}

// MaxLen is the length of the longest header in bytes that is accepted: 536 are what a
// header should have at most (§2.2), but the certificate of a client takes more.
const MaxLen = 4096

// Parse reads the header at the beginning of p, all bytes received so far. It has n bytes;
// 0: it is not complete. Any reason but ReasonNone refuses it.
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
	// max1 is the length of the longest line of version 1 with its end (§2.1).
	max1 = 107
)

// parse1 reads a header of version 1 (§2.1):
// "PROXY TCP4 192.0.2.1 192.0.2.2 1024 443\r\n".
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
		return h, end + 1, ReasonNone // whatever follows
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

// addr1 reads an address of the family, in its usual form.
func addr1(text []byte, is4 bool) (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(text))
	return a, err == nil && a.Is4() == is4 && a.Zone() == ""
}

// port1 reads a port without leading zeros.
func port1(text []byte) (port uint16, ok bool) {
	if len(text) == 0 || len(text) > 5 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 0xffff
}
