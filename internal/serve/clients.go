package serve

import "net/netip"

// networkOf returns what identifies a client for the limits: its IPv4 address, or the first 64 bits
// of its IPv6 address, since a subscriber has the whole /64. It is invalid if the client has no
// address.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	network, _ := a.Prefix(bits)
	return network
}
