package clientip

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func networks(t testing.TB, list string) []Network {
	t.Helper()
	var all []Network
	for _, text := range SplitNetworks(list) {
		n, err := ParseNetwork(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, n)
	}
	return all
}

func addr(text string) Addr {
	switch text {
	case "unix":
		return Unix()
	case "unknown":
		return Addr{}
	}
	return From(netip.AddrPortFrom(netip.MustParseAddr(text), 1))
}

func TestParseNetwork(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"192.0.2.0/24", "192.0.2.0/24"}, {"192.0.2.1", "192.0.2.1"}, {"192.0.2.1/32", "192.0.2.1"}, {"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:DB8::/32", "2001:db8::/32"}, {"::1", "::1"}, {"::/0", "::/0"}, {"unix", "unix"},
		{"::ffff:192.0.2.1", "192.0.2.1"}, {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
	} {
		if n, err := ParseNetwork(tt.text); err != nil || n.String() != tt.want {
			t.Errorf("%s: %v, %v", tt.text, n, err)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"", "must be an IP address"}, {"localhost", "must be an IP address"}, {"192.0.2.0/33", "must be"}, {"unix:", "must be"},
		{"192.0.2.1/24", "write 192.0.2.0/24, or 192.0.2.1"}, {"fe80::1%eth0", "write fe80::1"}, {"::ffff:0:0/90", "mixes IPv4 and IPv6"},
		{"192.0.2.1:80", "must be"},
	} {
		if n, err := ParseNetwork(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v", tt.text, n, err)
		}
	}
	if n := (Network{}); n.String() != "" {
		t.Errorf("none is %q", n)
	}
}

func TestNetworks(t *testing.T) {
	for _, tt := range []struct{ list, in, out string }{
		{"10.0.0.0/8, 192.0.2.7", "10.0.0.0 10.255.255.255 192.0.2.7 ::ffff:10.1.1.1", "9.255.255.255 11.0.0.0 192.0.2.6 192.0.2.8 ::1 unix unknown"},
		{"0.0.0.0/0", "0.0.0.0 255.255.255.255", ":: ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff unix"},
		{"::/0", ":: 2001:db8::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0 255.255.255.255 unix"},
		{"::/0 0.0.0.0/0 unix", ":: 0.0.0.0 255.255.255.255 unix", "unknown"},
		{"255.255.255.255 ::", "255.255.255.255 ::", "255.255.255.254 ::1"},
		{"unix", "unix", "127.0.0.1 ::1 unknown"},
		{"2001:db8::/32", "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:: 2001:db9:: 32.1.13.184"},
	} {
		ns := NewNetworks(networks(t, tt.list))
		for _, a := range strings.Fields(tt.in) {
			if !ns.Contains(addr(a)) {
				t.Errorf("%s is not in %s", a, tt.list)
			}
		}
		for _, a := range strings.Fields(tt.out) {
			if ns.Contains(addr(a)) {
				t.Errorf("%s is in %s", a, tt.list)
			}
		}
	}
	if ns := NewNetworks(nil); ns != nil || ns.Contains(addr("::1")) {
		t.Error("an empty list contains an address")
	}
}

// The narrowest network decides, whatever their order is.
func TestAccess(t *testing.T) {
	for _, tt := range []struct{ allow, deny, admitted, refused string }{
		{"", "", "192.0.2.1 ::1 unix unknown", ""},
		{"192.0.2.0/24", "", "192.0.2.1", "192.0.3.1 ::1 unix unknown"},
		{"", "192.0.2.0/24", "192.0.3.1 ::1 unix unknown", "192.0.2.1"},
		{"10.0.0.0/8 10.1.2.3", "10.1.0.0/16", "10.0.0.1 10.1.2.3 10.2.0.0", "10.1.0.0 10.1.2.2 10.1.2.4 10.1.255.255 11.0.0.0"},
		{"10.0.0.0/8", "10.0.0.0/8", "", "10.1.2.3 11.1.2.3"},
		{"unix", "", "unix", "127.0.0.1 unknown"},
		{"", "unix ::/0", "127.0.0.1", "unix ::1"},
	} {
		c := NewAccess(networks(t, tt.allow), networks(t, tt.deny))
		for _, a := range strings.Fields(tt.admitted) {
			if ok, by := c.Admits(addr(a)); !ok {
				t.Errorf("allow %q, deny %q: %s is refused by %q", tt.allow, tt.deny, a, by)
			}
		}
		for _, a := range strings.Fields(tt.refused) {
			if ok, by := c.Admits(addr(a)); ok {
				t.Errorf("allow %q, deny %q: %s is admitted by %q", tt.allow, tt.deny, a, by)
			}
		}
	}
	if ok, by := NewAccess(networks(t, "10.0.0.0/8"), networks(t, "10.1.0.0/16")).Admits(addr("10.1.2.3")); ok || by.String() != "10.1.0.0/16" {
		t.Errorf("%v, %s", ok, by)
	}
}

// A search among thousands of networks has the same result as a check of each.
func TestManyNetworks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func() netip.Addr {
		if rng.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{byte(rng.IntN(4)), byte(rng.IntN(4)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		}
		return netip.AddrFrom16([16]byte{byte(rng.IntN(2)), byte(rng.IntN(4)), 15: byte(rng.IntN(256))})
	}
	var all []Network
	for range 3000 {
		a := random()
		all = append(all, Network{prefix: netip.PrefixFrom(a, rng.IntN(a.BitLen()+1)).Masked()})
	}
	ns := NewNetworks(all)
	for range 3000 {
		a := random()
		want := -1
		for i, n := range all {
			if n.prefix.Contains(a) && (want < 0 || n.prefix.Bits() >= all[want].prefix.Bits()) {
				want = i
			}
		}
		if _, got := ns.Find(From(netip.AddrPortFrom(a, 0))); got != want {
			t.Fatalf("%v is in number %d, want %d", a, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ns.Contains(addr4) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

var addr4 = addr("2.2.3.3")

func BenchmarkNetworks(b *testing.B) {
	for _, n := range []int{1, 10000} {
		var all []Network
		for i := range n {
			all = append(all, Network{prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{1, byte(i >> 8), byte(i), 0}), 24)})
		}
		ns := NewNetworks(all)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				ns.Contains(addr4)
			}
		})
	}
}

// An IPv4 address is a network of its own, IPv6 addresses share a /64.
func TestSubscriber(t *testing.T) {
	for _, c := range []struct{ address, same, want string }{
		{"203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1", "2001:db8:1:2::/64"},
		{"::1", "::1", "::/64"},
		{"fe80::1%eth0", "fe80::2%eth1", "fe80::/64"},
	} {
		a, b := Subscriber(netip.MustParseAddr(c.address)), Subscriber(netip.MustParseAddr(c.same))
		if a != b || !a.IsValid() || a.String() != c.want {
			t.Errorf("Subscriber(%s) is %v and Subscriber(%s) is %v, want %s", c.address, a, c.same, b, c.want)
		}
	}
	if a, b := Subscriber(netip.MustParseAddr("2001:db8:1:2::1")), Subscriber(netip.MustParseAddr("2001:db8:1:3::1")); a == b {
		t.Error("two different /64 networks are equal")
	}
	if n := Subscriber(netip.Addr{}); n.IsValid() {
		t.Errorf("Subscriber of no address is %v, want none", n)
	}
}
