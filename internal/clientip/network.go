package clientip

import (
	"errors"
	"net/netip"
	"slices"
	"sort"
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
// Two networks are nested or disjoint. So the narrowest network that contains an address is the
// last one that begins at or before it, or one around that.
type Networks struct {
	all    []Network
	sorted []nested // by their first address, the wider before the narrower
	unix   int      // the network of unix sockets in all; -1: none
}

// nested is a network of IP addresses.
type nested struct {
	netip.Prefix
	number int // in Networks.all
	around int // the narrowest network around it in Networks.sorted; -1: none
}

// NewNetworks returns the networks; nil if there are none. Of equal networks the last one
// applies.
func NewNetworks(all []Network) *Networks {
	if len(all) == 0 {
		return nil
	}
	ns := &Networks{all: slices.Clone(all), unix: -1}
	for i, n := range all {
		if n.unix {
			ns.unix = i
		} else if n.prefix.IsValid() {
			ns.sorted = append(ns.sorted, nested{Prefix: n.prefix, number: i})
		}
	}
	slices.SortStableFunc(ns.sorted, func(a, b nested) int { return a.Compare(b.Prefix) })
	for i := range ns.sorted {
		ns.sorted[i].around = ns.narrowest(i-1, ns.sorted[i].Addr())
	}
	return ns
}

// narrowest returns the first of sorted[i] and the networks around it that contains an address;
// -1: none does.
func (ns *Networks) narrowest(i int, ip netip.Addr) int {
	for i >= 0 && !ns.sorted[i].Contains(ip) {
		i = ns.sorted[i].around
	}
	return i
}

// Find returns the narrowest network that contains a, and its index; -1 if there is none.
func (ns *Networks) Find(a Addr) (Network, int) {
	if ns == nil {
		return Network{}, -1
	}
	at := ns.unix
	if a.kind != kindUnix {
		ip := a.IP()
		after := sort.Search(len(ns.sorted), func(i int) bool { return ip.Less(ns.sorted[i].Addr()) })
		if at = ns.narrowest(after-1, ip); at >= 0 {
			at = ns.sorted[at].number
		}
	}
	if at < 0 {
		return Network{}, -1
	}
	return ns.all[at], at
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

// Subscriber returns the network that counts as one client for limits: an IPv4 address, or the
// first 64 bits of an IPv6 address, since a subscriber has the whole /64. It is invalid if there is
// no address.
func Subscriber(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	network, _ := a.Prefix(bits) // without a zone
	return network
}
