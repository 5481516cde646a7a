package clientip

import (
	"net/netip"
	"testing"
)

func TestAddr(t *testing.T) {
	for _, tt := range []struct {
		addr       Addr
		host, text string
		ip         netip.Addr
		port       uint16
	}{
		{From(netip.MustParseAddrPort("203.0.113.7:80")), "203.0.113.7", "203.0.113.7:80", netip.MustParseAddr("203.0.113.7"), 80},
		{From(netip.MustParseAddrPort("203.0.113.7:0")), "203.0.113.7", "203.0.113.7", netip.MustParseAddr("203.0.113.7"), 0},
		{From(netip.MustParseAddrPort("[::ffff:203.0.113.7]:80")), "203.0.113.7", "203.0.113.7:80", netip.MustParseAddr("203.0.113.7"), 80},
		{From(netip.MustParseAddrPort("[2001:db8::1]:443")), "2001:db8::1", "[2001:db8::1]:443", netip.MustParseAddr("2001:db8::1"), 443},
		{From(netip.MustParseAddrPort("[fe80::1%eth0]:443")), "fe80::1", "[fe80::1]:443", netip.MustParseAddr("fe80::1"), 443},
		{From(netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")), "2001:db8:1111:2222:3333:4444:5555:6666", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"), 65535},
		{Unix(), "unix:", "unix:", netip.Addr{}, 0},
		{From(netip.AddrPort{}), "unknown", "unknown", netip.Addr{}, 0},
	} {
		a := tt.addr
		if len(tt.text) > MaxText {
			t.Errorf("%s is longer than the longest", tt.text)
		}
		if a.Host() != tt.host || a.String() != tt.text || a.IP() != tt.ip || a.Port() != tt.port ||
			a.Known() != (tt.host != "unknown") || (a.kind == kindUnix) != (tt.host == "unix:") {
			t.Errorf("%q, %q, %v, %d; want %q, %q, %v, %d", a.Host(), a, a.IP(), a.Port(), tt.host, tt.text, tt.ip, tt.port)
		}
	}
}

func TestEncoding(t *testing.T) {
	for _, a := range []Addr{{}, Unix(), addr("203.0.113.7"), From(netip.MustParseAddrPort("[2001:db8::1]:443"))} {
		p := a.AppendEncoded(nil)
		if got, ok := Decode(p); !ok || got != a {
			t.Errorf("%v is decoded as %v, %v", a, got, ok)
		}
		if got, ok := Decode(p[1:]); ok || got.Known() {
			t.Errorf("the end of %v is decoded as %v", a, got)
		}
	}
	if a, ok := Decode(append([]byte{9}, make([]byte, encodedSize-1)...)); ok {
		t.Errorf("an unknown kind is decoded as %v", a)
	}
}
