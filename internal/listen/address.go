package listen

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Address is an address to listen on.
type Address struct {
	Secure bool   // HTTPS
	Host   string // an IP address; "": all addresses, IPv4 and IPv6
	Port   int    // 0 chooses a free one
	Path   string // of a unix socket; Host and Port are unused then
	Mode   fs.FileMode
	Short  bool // given by --port and --bind, not by --listen
}

// AnySecure reports whether one of the addresses uses HTTPS.
func AnySecure(addresses []Address) bool {
	return slices.ContainsFunc(addresses, func(a Address) bool { return a.Secure })
}

// Max is the largest number of addresses of a pool.
const Max = 16

// DefaultMode is the mode of a unix socket's file: the owner and the group may connect, which
// requires write permission.
const DefaultMode fs.FileMode = 0o660

// String returns the address in the form of --listen.
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

// URL returns a URL for a browser on this machine, without a default port; "" for a unix
// socket.
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

// Everywhere reports whether the address is a wildcard address.
func (a Address) Everywhere() bool {
	return a.Path == "" && (a.Host == "" || a.Host == "0.0.0.0" || a.Host == "::")
}

// Overlaps reports whether it is impossible to listen on both addresses.
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
		return true // one of them is the wildcard
	}
	x, y = x.Unmap(), y.Unmap()
	return x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
}
