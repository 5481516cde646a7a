// Package address parses the address of an admin endpoint, for server and client:
// HOST:PORT, or the path of a unix socket, which contains a slash.
package address

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is the address of an admin endpoint, as given in the options.
type Address string

// MaxPath is the maximum length of a unix socket's path in bytes (unix(7): 108
// with the terminating zero).
const MaxPath = 107

// Unix reports whether the endpoint is a unix socket.
func (a Address) Unix() bool { return strings.Contains(string(a), "/") }

// Net returns the network and address to give to package net.
func (a Address) Net() (network, where string) {
	switch {
	case !a.Unix():
		return "tcp", string(a)
	case a[0] == '@':
		return "unix", "./" + string(a) // net takes a leading @ for a socket without a file
	default:
		return "unix", string(a)
	}
}

// Cure returns what is wrong with an address and what to write instead, "" if it is valid.
func (a Address) Cure() string {
	v := string(a)
	_, where := a.Net()
	switch {
	case v == "" || strings.ContainsAny(v, "\x00\n"):
		return "must be HOST:PORT, such as 127.0.0.1:9090, or the path of a unix socket, such as /run/phalanx.sock"
	case strings.HasPrefix(v, "http://"), strings.HasPrefix(v, "https://"):
		return "must not be a URL; leave out http:// and the path: 127.0.0.1:9090"
	case strings.HasPrefix(v, "unix:") && Address(v[len("unix:"):]).Unix(): // as in --listen
		return "must be the path alone; leave out unix: and write " + v[len("unix:"):]
	case a.Unix() && strings.HasSuffix(v, "/"):
		return "is a directory; name the socket: " + v + "phalanx.sock"
	case a.Unix() && len(where) > MaxPath:
		return "is too long for the path of a unix socket; the limit is " + strconv.Itoa(MaxPath) + " bytes"
	case a.Unix():
		return ""
	}
	return hostPortCure(v)
}

// hostPortCure is Cure for HOST:PORT.
func hostPortCure(v string) string {
	if _, err := strconv.ParseUint(v, 10, 64); err == nil {
		return "is a port without a host; write 127.0.0.1:" + v + ", or 0.0.0.0:" + v + " for every address of this machine"
	}
	if ip, err := netip.ParseAddr(v); err == nil && ip.Is6() {
		return "needs a port; write [" + v + "]:9090"
	}
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		if !strings.Contains(v, ":") && isHost(v) {
			return "needs a port; write " + v + ":9090, or ./" + v + " for a unix socket"
		}
		return "must be HOST:PORT, such as 127.0.0.1:9090 or [::1]:9090"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "the port must be 0 to 65535 (0 chooses a free one)"
	}
	if host == "" {
		return "needs a host; write 127.0.0.1" + v + ", or 0.0.0.0" + v + " for every address of this machine"
	}
	if _, err := netip.ParseAddr(host); err != nil && !isHost(host) {
		return "the host must be a name or an IP address, such as localhost, 127.0.0.1 or [::1]"
	}
	return ""
}

// isHost reports whether s can be a host name (RFC 1123 section 2.1, and the underscore,
// which is common in practice).
func isHost(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '-' && c != '_'
	})
}
