// Package clientip determines the address of a client: that of the connection's peer, or the
// one that a trusted proxy names in a header field. It also implements networks and access
// lists.
package clientip

import (
	"net/netip"
)

// Addr is the address of a client. The zero value stands for an unknown address.
type Addr struct {
	ip   [16]byte // IPv4 addresses are IPv4-mapped (RFC 4291 §2.5.5.2)
	port uint16   // 0: not known
	kind kind
}

type kind uint8

const (
	kindUnknown kind = iota
	kindIP
	kindUnix
)

// From returns an IP address with its port; the zero value if ap is invalid. The zone is
// dropped: it is meaningful on one machine only.
func From(ap netip.AddrPort) Addr {
	if !ap.IsValid() {
		return Addr{}
	}
	return Addr{ap.Addr().As16(), ap.Port(), kindIP}
}

// Parse reads an IP address, or "unix" for a client of a unix socket.
func Parse(text string) (a Addr, ok bool) {
	if text == "unix" {
		return Unix(), true
	}
	ip, err := netip.ParseAddr(text)
	return From(netip.AddrPortFrom(ip, 0)), err == nil
}

// Unix returns the address that stands for the clients of a unix socket.
func Unix() Addr { return Addr{kind: kindUnix} }

// IP returns the IP address, unmapped; the zero value if there is none.
func (a Addr) IP() netip.Addr {
	if a.kind != kindIP {
		return netip.Addr{}
	}
	return netip.AddrFrom16(a.ip).Unmap()
}

// Known reports whether the address is known.
func (a Addr) Known() bool { return a.kind != kindUnknown }

// MaxText is the length in bytes of the longest address with port, as AppendTo writes it.
const MaxText = len("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")

// AppendHost appends the address without its port: "203.0.113.7", "unix:" or "unknown".
func (a Addr) AppendHost(dst []byte) []byte {
	switch a.kind {
	case kindIP:
		return a.IP().AppendTo(dst)
	case kindUnix:
		return append(dst, "unix:"...)
	}
	return append(dst, "unknown"...)
}

// AppendTo appends the address, with its port if that is known.
func (a Addr) AppendTo(dst []byte) []byte {
	if a.kind == kindIP && a.port != 0 {
		return netip.AddrPortFrom(a.IP(), a.port).AppendTo(dst)
	}
	return a.AppendHost(dst)
}

// Host returns what AppendHost appends.
func (a Addr) Host() string { return string(a.AppendHost(nil)) }

// String returns what AppendTo appends.
func (a Addr) String() string { return string(a.AppendTo(nil)) }

// encodedSize is the length of an encoded address in bytes.
const encodedSize = 19

// AppendEncoded appends the address for [Decode] in another process.
func (a Addr) AppendEncoded(dst []byte) []byte {
	dst = append(append(dst, byte(a.kind)), a.ip[:]...)
	return append(dst, byte(a.port>>8), byte(a.port))
}

// Decode returns the address that AppendEncoded has encoded; false if p is malformed.
func Decode(p []byte) (a Addr, ok bool) {
	if len(p) != encodedSize || p[0] > byte(kindUnix) {
		return Addr{}, false
	}
	if a.kind = kind(p[0]); a.kind == kindIP {
		a.ip, a.port = [16]byte(p[1:17]), uint16(p[17])<<8|uint16(p[18])
	}
	return a, true
}

// Port returns the port; 0 if it is not known.
func (a Addr) Port() uint16 { return a.port }
