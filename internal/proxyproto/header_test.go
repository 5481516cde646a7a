package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// v2 returns a header of version 2.
func v2(command, family byte, payload ...string) string {
	all := strings.Join(payload, "")
	p := append([]byte(signature2), command, family)
	return string(binary.BigEndian.AppendUint16(p, uint16(len(all)))) + all
}

// field returns a field with type, length and value.
func field(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed returns a header of version 2 with a checksum as its last field.
func summed(family byte, payload ...string) string {
	p := []byte(v2(commandProxy, family, append(payload, field(fieldChecksum, "\x00\x00\x00\x00"))...))
	at := len(p) - checksumSize
	binary.BigEndian.PutUint32(p[at:], checksum(p, at))
	return string(p)
}

const (
	addr4 = "\xcb\x00\x71\x07\xc0\x00\x02\x01\x1f\x90\x01\xbb" // 203.0.113.7:8080 to 192.0.2.1:443
	addr6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x1f\x90\x01\xbb"
)

var addrUnix = strings.Repeat("a", sizeUnix)

func client(text string) Header { return Header{Client: netip.MustParseAddrPort(text)} }

var accepted = []struct {
	header string
	want   Header
}{
	{"PROXY TCP4 203.0.113.7 192.0.2.1 8080 443\r\n", client("203.0.113.7:8080")},
	{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", client("255.255.255.255:65535")},
	{"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", client("0.0.0.0:0")},
	{"PROXY TCP6 2001:db8::1 2001:db8::2 8080 443\r\n", client("[2001:db8::1]:8080")},
	{"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		client("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")},
	{"PROXY TCP6 ::ffff:203.0.113.7 ::1 8080 443\r\n", client("[::ffff:203.0.113.7]:8080")},
	{"PROXY UNKNOWN\r\n", Header{}},
	{"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", Header{}},
	{v2(commandProxy, 0x11, addr4), client("203.0.113.7:8080")},
	{v2(commandProxy, 0x12, addr4), client("203.0.113.7:8080")},
	{v2(commandProxy, 0x21, addr6), client("[2001:db8::1]:8080")},
	{v2(commandProxy, 0x22, addr6), client("[2001:db8::1]:8080")},
	{v2(commandProxy, 0x31, addrUnix), Header{Unix: true}},
	{v2(commandProxy, 0x32, addrUnix), Header{Unix: true}},
	{v2(commandProxy, 0x00), Header{}},
	{v2(commandProxy, 0x00, field(0x05, "id")), Header{}},
	{v2(commandLocal, 0x00), Header{}},
	{v2(commandLocal, 0x11, addr4), Header{}},
	{v2(commandLocal, 0xff, "whatever it is"), Header{}},
	{v2(commandProxy, 0x11, addr4, field(0x01, "h2"), field(0x20, strings.Repeat("x", 300)), field(0x04, "")), client("203.0.113.7:8080")},
	{v2(commandProxy, 0x11, addr4, field(0x04, strings.Repeat("x", MaxLen-fixed2-size4-3))), client("203.0.113.7:8080")},
	{summed(0x11, addr4), client("203.0.113.7:8080")},
	{summed(0x21, addr6, field(0x02, "example.org")), client("[2001:db8::1]:8080")},
	{summed(0x31, addrUnix), Header{Unix: true}},
}

var refused = []struct {
	header string
	want   Reason
}{
	{"GET / HTTP/1.1\r\n", ReasonMissing},
	{"PRI * HTTP/2.0\r\n", ReasonMissing},
	{"\x16\x03\x01", ReasonMissing},
	{"\r\n\r\n\r\n", ReasonMissing},
	{"proxy UNKNOWN\r\n", ReasonMissing},
	{"PROXY\r\n", ReasonMissing},
	{"PROXY \r\n", ReasonMalformed},
	{"PROXY UNKNOWN\n", ReasonMalformed},
	{"PROXY \n", ReasonMalformed},
	{"PROXY UDP4 203.0.113.7 192.0.2.1 8080 443\r\n", ReasonMalformed},
	{"PROXY TCP4\r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 192.0.2.1 8080\r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 192.0.2.1 8080 443 \r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 192.0.2.1 8080 443 5\r\n", ReasonMalformed},
	{"PROXY TCP4  203.0.113.7 192.0.2.1 8080 443\r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 192.0.2.1 08080 443\r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 192.0.2.1 8080 \r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 192.0.2.1 +80 443\r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.07 192.0.2.1 8080 443\r\n", ReasonMalformed},
	{"PROXY TCP4 2001:db8::1 192.0.2.1 8080 443\r\n", ReasonMalformed},
	{"PROXY TCP6 203.0.113.7 2001:db8::2 8080 443\r\n", ReasonMalformed},
	{"PROXY TCP6 fe80::1%eth0 2001:db8::2 8080 443\r\n", ReasonMalformed},
	{"PROXY TCP4 203.0.113.7 example.org 8080 443\r\n", ReasonMalformed},
	{"PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", ReasonTooLong},
	{"PROXY UNKNOWN " + strings.Repeat("x", 200), ReasonTooLong},
	{v2(0x11, 0x11, addr4), ReasonMalformed},
	{v2(0x22, 0x11, addr4), ReasonMalformed},
	{v2(commandProxy, 0x10, addr4), ReasonMalformed},
	{v2(commandProxy, 0x13, addr4), ReasonMalformed},
	{v2(commandProxy, 0x41, addr4), ReasonMalformed},
	{v2(commandProxy, 0x11, addr4[1:]), ReasonMalformed},
	{v2(commandProxy, 0x21, addr6[1:]), ReasonMalformed},
	{v2(commandProxy, 0x31, addrUnix[1:]), ReasonMalformed},
	{v2(commandProxy, 0x11, addr4, "\x01\x00"), ReasonMalformed},
	{v2(commandProxy, 0x11, addr4, "\x01\x00\x03h2"), ReasonMalformed},
	{v2(commandProxy, 0x11, addr4, field(fieldChecksum, "\x00\x00\x00")), ReasonMalformed},
	{v2(commandProxy, 0x11, addr4, field(fieldChecksum, "\x00\x00\x00\x00")), ReasonChecksum},
	{v2(commandProxy, 0x11, addr4, field(0x04, strings.Repeat("x", MaxLen-fixed2-size4-2))), ReasonTooLong},
}

func TestAccepted(t *testing.T) {
	for _, tt := range accepted {
		for _, more := range []string{"", "GET /", tt.header} {
			if h, n, r := Parse([]byte(tt.header + more)); h != tt.want || n != len(tt.header) || r != ReasonNone {
				t.Errorf("%q before %q: %+v, %d bytes, %v", tt.header, more, h, n, r)
			}
		}
		for i := range tt.header {
			if h, n, r := Parse([]byte(tt.header[:i])); h != (Header{}) || n != 0 || r != ReasonNone {
				t.Errorf("%d bytes of %q: %+v, %d bytes, %v", i, tt.header, h, n, r)
			}
		}
		if own := tt.want == (Header{}); tt.want.Own() != own {
			t.Errorf("%q is the proxy's own: %v", tt.header, !own)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range refused {
		if h, n, r := Parse([]byte(tt.header)); h != (Header{}) || n != 0 || r != tt.want {
			t.Errorf("%q: %+v, %d bytes, %v; want %v", tt.header, h, n, r, tt.want)
		}
	}
}

// A changed byte anywhere in a header with a checksum is detected, except for those that locate
// the checksum.
func TestChecksum(t *testing.T) {
	good := []byte(summed(0x11, addr4, field(0x05, "unique")))
	for i := range len(good) - checksumSize - 3 {
		bad := slices.Clone(good)
		bad[i] ^= 0x40
		if h, n, r := Parse(bad); n != 0 && r == ReasonNone {
			t.Errorf("byte %d changed: %+v, %d bytes", i, h, n)
		}
	}
}

// The outcome does not depend on how the bytes are split, and is final.
func FuzzParse(f *testing.F) {
	for _, tt := range accepted {
		f.Add([]byte(tt.header))
	}
	for _, tt := range refused {
		f.Add([]byte(tt.header))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, r := Parse(p)
		if n < 0 || n > len(p) || n > MaxLen || n > 0 && r != ReasonNone || r >= ReasonTimeout {
			t.Fatalf("%+v, %d bytes, %v", h, n, r)
		}
		if n == 0 && r == ReasonNone && len(p) >= MaxLen {
			t.Fatalf("%d bytes are not enough", len(p))
		}
		for i := range min(len(p), MaxLen) + 1 {
			early, m, reason := Parse(p[:i])
			if m == 0 && reason == ReasonNone {
				continue
			}
			if early != h || m != n || reason != r {
				t.Fatalf("of %d bytes: %+v, %d, %v; of all: %+v, %d, %v", i, early, m, reason, h, n, r)
			}
			return
		}
		if n != 0 || r != ReasonNone {
			t.Fatalf("every proper prefix needs more bytes, but the whole does not: %+v, %d, %v", h, n, r)
		}
	})
}
