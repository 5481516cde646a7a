package serve

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
)

// Peer returns the client's address of a connected socket, of any family.
func TestPeer(t *testing.T) {
	for network, want := range map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1", "tcp": "127.0.0.1", "unix": "unix:"} {
		where := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "tcp": ":0", "unix": filepath.Join(t.TempDir(), "s")}[network]
		l, err := net.Listen(network, where)
		if err != nil {
			if network == "tcp6" {
				continue // this machine has no IPv6
			}
			t.Fatal(err)
		}
		defer l.Close()
		where = l.Addr().String()
		if network == "tcp" {
			where = strings.Replace(where, "[::]", "127.0.0.1", 1)
		}
		client, err := net.Dial(network, where)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		full := client.LocalAddr().String()
		if network == "unix" {
			full = want
		}
		raw, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if a := Peer(int(raw.Fd())); a.Host() != want || a.String() != full {
			t.Errorf("%s: %q, %q, want %q, %q", network, a.Host(), a, want, full)
		}
	}
	if a := Peer(-1); a.Known() {
		t.Errorf("address %q of an invalid descriptor", a)
	}
}

// RawPeer and PeerOf return the same address for the same sockaddr.
func TestRawPeer(t *testing.T) {
	const port = 443
	for _, text := range []string{"203.0.113.7", "2001:db8:1:2::1"} {
		a := netip.MustParseAddr(text)
		var raw unix.RawSockaddrAny
		var other unix.Sockaddr = &unix.SockaddrInet6{Addr: a.As16(), Port: port}
		if a.Is4() {
			*(*unix.RawSockaddrInet4)(unsafe.Pointer(&raw)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: hostOrder(port), Addr: a.As4()}
			other = &unix.SockaddrInet4{Addr: a.As4(), Port: port}
		} else {
			*(*unix.RawSockaddrInet6)(unsafe.Pointer(&raw)) = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: hostOrder(port), Addr: a.As16()}
		}
		want := clientip.From(netip.AddrPortFrom(a, port))
		if got := RawPeer(&raw); got != want {
			t.Errorf("RawPeer of %s is %v", text, got)
		}
		if got := PeerOf(other); got != want {
			t.Errorf("PeerOf of %s is %v", text, got)
		}
	}
	if a := RawPeer(&unix.RawSockaddrAny{Addr: unix.RawSockaddr{Family: unix.AF_UNSPEC}}); a.Known() {
		t.Errorf("RawPeer of AF_UNSPEC is %v", a)
	}
}
