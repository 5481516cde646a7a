package listen

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// Address is where connections come from, and what they begin with.
type Address struct {
	Secure bool   // with a TLS handshake
	Host   string // an IP address; "" is every address, IPv4 and IPv6
	Port   int    // 0 takes a free one
	Path   string // of a unix socket; then Host and Port say nothing
	Mode   fs.FileMode
	Short  bool // given by --port and --bind, not by --listen
}

// Max is how many addresses a pool may listen at.
const Max = 16

// DefaultMode is the mode of a unix socket's file: to connect takes the permission to
// write, which the owner and its group have.
const DefaultMode fs.FileMode = 0o660

// String returns the address as --listen has it.
func (a Address) String() string {
	switch {
	case a.Path != "" && a.Mode != DefaultMode:
		return fmt.Sprintf("unix:%s?mode=%04o", a.Path, a.Mode)
	case a.Path != "":
		return "unix:" + a.Path
	}
	scheme := "http://"
	if a.Secure {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// URL returns what a browser on this machine may be given, without a port that it knows
// by itself; "" for a unix socket.
func (a Address) URL() string {
	if a.Path != "" {
		return ""
	}
	if a.Everywhere() {
		a.Host = "localhost"
	}
	text := a.String()
	if a.Port == 443 && a.Secure || a.Port == 80 && !a.Secure {
		text = strings.TrimSuffix(text, ":"+strconv.Itoa(a.Port))
	}
	return text + "/"
}

// Everywhere reports whether it is on all interfaces, of IPv4 or of both.
func (a Address) Everywhere() bool {
	return a.Path == "" && (a.Host == "" || a.Host == "0.0.0.0" || a.Host == "::")
}

// Overlaps reports whether both cannot be listened at.
func (a Address) Overlaps(b Address) bool {
	if a.Path != "" || b.Path != "" {
		return a.Path != "" && b.Path != "" && path.Clean(a.Path) == path.Clean(b.Path)
	}
	if a.Port != b.Port || a.Port == 0 {
		return false
	}
	x, errX := netip.ParseAddr(a.Host)
	y, errY := netip.ParseAddr(b.Host)
	if errX != nil || errY != nil {
		return true // one of them is every address
	}
	x, y = x.Unmap(), y.Unmap()
	return x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
}
