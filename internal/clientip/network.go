package clientip

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Network is a network of IP addresses, or all clients of unix sockets. The zero value is
// none.
type Network struct {
	prefix netip.Prefix
	unix   bool
}

// ParseNetwork reads "192.0.2.0/24", "2001:db8::/32", a single address, or "unix". Its
// error says what to write instead.
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
		return Network{}, errors.New("has bits beyond its length; write " + p.Masked().String() + ", or " + p.Addr().String())
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

// Networks finds out in which of many networks an address is. It does not change, so
// goroutines may share it. A nil one is empty.
//
// Of two networks one contains the other or they have nothing in common. So they cut all
// addresses into ranges, in each of which one network is the narrowest, and a search in
// the sorted beginnings of these ranges finds it.
type Networks struct {
	all    []Network
	begins []netip.Addr // of the ranges, IPv4 before IPv6
	narrow []int32      // the narrowest network of each range in all; -1: none
	unix   int32        // likewise of clients of unix sockets
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
	slices.SortStableFunc(order, func(i, j int32) int {
		a, b := all[i].prefix, all[j].prefix
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
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

// close ends the narrowest of the networks that are open: what comes behind it belongs to
// the one around it.
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

// mark begins a range.
func (ns *Networks) mark(begin netip.Addr, narrowest int32) {
	if n := len(ns.begins); n > 0 && ns.begins[n-1] == begin {
		ns.narrow[n-1] = narrowest
		return
	}
	ns.begins, ns.narrow = append(ns.begins, begin), append(ns.narrow, narrowest)
}

// after returns the first address behind a network: of IPv6 if that was the end of IPv4,
// invalid if it was the end of both.
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

// Find returns the narrowest network in which a client is, and its index; -1 if there is
// none.
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

// Contains reports whether a client is in one of the networks.
func (ns *Networks) Contains(a Addr) bool {
	_, i := ns.Find(a)
	return i >= 0
}

// Access says which clients are admitted. If nil, all are.
type Access struct {
	networks *Networks
	allowed  int // how many of them, from the first on, are
}

// NewAccess returns the access rules for networks that are allowed and that are denied;
// nil if there are none of either. The narrowest network that contains a client decides;
// if the same network is both allowed and denied, it is denied. A client in none of them
// is admitted if no network is allowed.
func NewAccess(allow, deny []Network) *Access {
	if len(allow)+len(deny) == 0 {
		return nil
	}
	return &Access{NewNetworks(append(slices.Clone(allow), deny...)), len(allow)}
}

// Admits reports whether a client is admitted, and by which network that was decided; the
// zero Network if the client is in none.
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
