package serve

import (
	"encoding/binary"
	"net/netip"
)

// network identifies a client for the limits: an IPv4 address, or the first 64 bits of an IPv6
// address, since a subscriber has the whole /64. The ranges do not overlap: no routed IPv6
// address begins with 32 zero bits.
type network uint64

// networkOf returns the network of an address; 0: none.
func networkOf(a netip.Addr) network {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		return network(binary.BigEndian.Uint32(b[:]))
	case a.Is6():
		b := a.As16()
		if n := network(binary.BigEndian.Uint64(b[:])); n != 0 {
			return n
		}
		return 1 // such as loopback
	}
	return 0
}

// String returns the address or the /64 network.
func (n network) String() string {
	if n>>32 == 0 && n > 1 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b).String()
	}
	var b [16]byte
	if n > 1 {
		binary.BigEndian.PutUint64(b[:], uint64(n))
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), 64).String()
}
