package clientip

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Network is a network of IP addresses, or all clients of unix sockets. The zero value
// contains no address.
type Network struct {
	prefix netip.Prefix
	unix   bool
}

// ParseNetwork parses "192.0.2.0/24", "2001:db8::/32", a single address, or "unix". Its error
// says what to write instead.
func ParseNetwork(text string) (Network, error) {
	if text == "unix" {
		return Network{unix: true}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return Network{}, errors.New("has a zone, which is meaningful on one machine only; write " + a.WithZone("").String())
		}
		a = a.Unmap()
		return Network{prefix: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return Network{}, errors.New("must be an IP address, a network such as 192.0.2.0/24 or 2001:db8::/32, or unix")
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return Network{}, errors.New("mixes IPv4 and IPv6; write one network of each")
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return Network{}, errors.New("has bits set beyond its prefix length; write " + p.Masked().String() + ", or " + p.Addr().String())
	}
	return Network{prefix: p}, nil
}

// String returns the network as ParseNetwork reads it.
func (n Network) String() string {
	switch {
	case n.unix:
		return "unix"
	case n.prefix.IsSingleIP():
		return n.prefix.Addr().String()
	case n.prefix.IsValid():
		return n.prefix.String()
	}
	return ""
}

// Networks finds the narrowest of many networks that contains an address. It is immutable and
// safe for concurrent use. A nil Networks is empty.
//
// Two networks are nested or disjoint. So they divide the address space into ranges, each with
// one narrowest network, which a binary search over the beginnings of the ranges finds.
type Networks struct {
	all    []Network
	begins []netip.Addr // of the ranges, IPv4 before IPv6
	narrow []int32      // the narrowest network of each range in all; -1: none
	unix   int32        // the network of unix sockets in all; -1: none
}

// NewNetworks returns the networks; nil if there are none. Of equal networks the last one
// applies.
func NewNetworks(all []Network) *Networks {
	if len(all) == 0 {
		return nil
	}
	ns := &Networks{all: slices.Clone(all), unix: -1}
	var order []int32
	for i, n := range all {
		if n.unix {
			ns.unix = int32(i)
		} else if n.prefix.IsValid() {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(i, j int32) int { return all[i].prefix.Compare(all[j].prefix) })
	var open []int32 // each contains the next
	for _, i := range order {
		begin := all[i].prefix.Addr()
		for len(open) > 0 && !all[open[len(open)-1]].prefix.Contains(begin) {
			open = ns.close(open)
		}
		open = append(open, i)
		ns.mark(begin, i)
	}
	for len(open) > 0 {
		open = ns.close(open)
	}
	return ns
}

// close ends the narrowest of the open networks. The addresses after it belong to the next
// wider one.
func (ns *Networks) close(open []int32) []int32 {
	behind := after(ns.all[open[len(open)-1]].prefix)
	open = open[:len(open)-1]
	around := int32(-1)
	if len(open) > 0 {
		around = open[len(open)-1]
	}
	if behind.IsValid() {
		ns.mark(behind, around)
	}
	return open
}

// mark begins a range with its narrowest network.
func (ns *Networks) mark(begin netip.Addr, narrowest int32) {
	if n := len(ns.begins); n > 0 && ns.begins[n-1] == begin {
		ns.narrow[n-1] = narrowest
		return
	}
	ns.begins, ns.narrow = append(ns.begins, begin), append(ns.narrow, narrowest)
}

// after returns the first address after a network: after the end of IPv4 the first of IPv6,
// after the end of IPv6 an invalid one.
func after(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for i := p.Bits(); i < len(raw)*8; i++ {
		raw[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	if next := last.Next(); next.IsValid() || last.Is6() {
		return next
	}
	return netip.IPv6Unspecified()
}

// Find returns the narrowest network that contains a, and its index; -1 if there is none.
func (ns *Networks) Find(a Addr) (Network, int) {
	if ns == nil {
		return Network{}, -1
	}
	at := int32(-1)
	if a.kind == kindUnix {
		at = ns.unix
	} else if ip := a.IP(); ip.IsValid() {
		i, found := slices.BinarySearchFunc(ns.begins, ip, netip.Addr.Compare)
		if !found {
			i--
		}
		if i >= 0 {
			at = ns.narrow[i]
		}
	}
	if at < 0 {
		return Network{}, -1
	}
	return ns.all[at], int(at)
}

// Contains reports whether a is in one of the networks.
func (ns *Networks) Contains(a Addr) bool {
	_, i := ns.Find(a)
	return i >= 0
}

// Access decides which clients are admitted. A nil Access admits all.
type Access struct {
	networks *Networks
	allowed  int // networks before this index are allowed, the others denied
}

// NewAccess returns the access rules of allowed and denied networks; nil if there are none.
// The narrowest network that contains a client decides; if the same network is both allowed
// and denied, it is denied. A client in none of them is admitted if no network is allowed.
func NewAccess(allow, deny []Network) *Access {
	if len(allow)+len(deny) == 0 {
		return nil
	}
	return &Access{NewNetworks(append(slices.Clone(allow), deny...)), len(allow)}
}

// Admits reports whether a client is admitted, and returns the network that decided; the zero
// Network if the client is in none.
func (c *Access) Admits(a Addr) (ok bool, by Network) {
	if c == nil {
		return true, by
	}
	by, i := c.networks.Find(a)
	if i < 0 {
		return c.allowed == 0, by
	}
	return i < c.allowed, by
}

// SplitNetworks splits a list of networks at its commas and blanks.
func SplitNetworks(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}
