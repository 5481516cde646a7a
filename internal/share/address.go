package share

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"phalanx/internal/proto"
)

// Address is an address to open in a browser.
type Address struct {
	URL string
	For string // "this machine", or the name of the interface
	LAN bool   // reachable from other machines
}

// Interface is a network interface with its addresses.
type Interface struct {
	Name  string
	Addrs []netip.Addr
}

// Interfaces returns the interfaces of this machine that are up.
func Interfaces() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var up []Interface
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue // it may have been removed meanwhile
		}
		one := Interface{Name: i.Name}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				one.Addrs = append(one.Addrs, p.Addr().Unmap())
			}
		}
		up = append(up, one)
	}
	return up, nil
}

// Addresses returns the addresses of a server that listens on bind, or on all interfaces if
// bind is empty; 0.0.0.0 and :: are those of one family only. url returns the URL of an IP
// address or a name. IPv4 comes first, because it is shorter to type. IPv6 link-local addresses
// are left out, because browsers do not accept their zone.
func Addresses(url func(host string) string, bind string, all []Interface) []Address {
	ip, err := netip.ParseAddr(bind)
	switch {
	case bind != "" && err != nil:
		return []Address{{URL: url(bind)}}
	case bind != "" && ip.IsLoopback():
		return []Address{{URL: url(bind), For: machine}}
	case bind != "" && !ip.IsUnspecified():
		return []Address{{URL: url(bind), For: nameOf(ip, all), LAN: true}}
	}
	found := []Address{{URL: url("localhost"), For: machine}}
	var lan []netip.Addr
	for _, i := range all {
		for _, a := range i.Addrs {
			usable := !a.IsLoopback() && !(a.Is6() && a.IsLinkLocalUnicast()) && !a.IsMulticast()
			if usable && (bind == "" || ip.Is4() == a.Is4()) {
				lan = append(lan, a)
			}
		}
	}
	slices.SortStableFunc(lan, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	for _, a := range slices.Compact(lan) {
		found = append(found, Address{URL: url(a.String()), For: nameOf(a, all), LAN: true})
	}
	return found
}

// Encoded returns a name percent-encoded for a URL.
func Encoded(name string) string {
	return string(proto.AppendEscaped(nil, name, proto.IsUnreserved))
}

const machine = "this machine"

func nameOf(ip netip.Addr, all []Interface) string {
	for _, i := range all {
		if slices.Contains(i.Addrs, ip) {
			return i.Name
		}
	}
	return ""
}
