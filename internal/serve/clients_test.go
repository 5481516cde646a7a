package serve

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestNetworkOf(t *testing.T) {
	for _, c := range []struct{ address, same, want string }{
		{"203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1", "2001:db8:1:2::/64"},
		{"::1", "::1", "::/64"},
	} {
		a, b := networkOf(netip.MustParseAddr(c.address)), networkOf(netip.MustParseAddr(c.same))
		if a != b || a == 0 || a.String() != c.want {
			t.Errorf("%s is %v, %s is %v, want %s", c.address, a, c.same, b, c.want)
		}
	}
	if a, b := networkOf(netip.MustParseAddr("2001:db8:1:2::1")), networkOf(netip.MustParseAddr("2001:db8:1:3::1")); a == b {
		t.Error("two networks are one")
	}
	if n := networkOf(netip.Addr{}); n != 0 {
		t.Errorf("no address is %v", n)
	}
}

// The table counts what a map counts, with clients that come and go, and allocates
// nothing once it has had as many.
func TestClients(t *testing.T) {
	const most = 300
	c := newClients()
	want := map[network]int{}
	var open []Counted
	var keys []network
	rng := rand.New(rand.NewPCG(1, 2))
	turn := func() {
		if n := len(open); n == most || n > 0 && rng.IntN(2) == 0 {
			i := rng.IntN(n)
			c.remove(open[i])
			if want[keys[i]]--; want[keys[i]] == 0 {
				delete(want, keys[i])
			}
			open[i], keys[i] = open[n-1], keys[n-1]
			open, keys = open[:n-1], keys[:n-1]
			return
		}
		key := network(1 + rng.IntN(2*most))
		open, keys = append(open, c.add(key)), append(keys, key)
		want[key]++
	}
	for range 20_000 {
		turn()
	}
	for key := range network(2*most + 1) {
		if n := c.count(key); n != want[key] {
			t.Errorf("client %v has %d, want %d", key, n, want[key])
		}
	}
	if c.used != len(want) || len(c.entries) > most+1 {
		t.Errorf("%d clients in %d places, want %d", c.used, len(c.entries), len(want))
	}
	at := network(0)
	if n := testing.AllocsPerRun(1000, func() { at++; c.remove(c.add(1e6 + at)) }); n > 0 {
		t.Errorf("%v allocations for each connection", n)
	}
}

// The shares of workers are never more than the whole, nor is one without any; a client's
// are a little more than its part.
func TestShare(t *testing.T) {
	for _, slots := range []int{1, 2, 3, 7, 16} {
		sum := 0
		for slot := range slots {
			l := NewLimits(&Config{MaxConnections: 100, MaxPerClient: 100, Slot: slot})
			l.Share(slots)
			sum += l.Most
			if least := 100 / slots; l.most < least || l.most > 100 || slots == 1 && l.most != 100 {
				t.Errorf("one of %d workers allows a client %d of 100", slots, l.most)
			}
		}
		if sum != 100 {
			t.Errorf("%d workers allow %d of 100 connections", slots, sum)
		}
	}
	if n := clientShare(100, 4); n != 45 { // docs/limits.md
		t.Errorf("one of four allows %d of 100", n)
	}
	l := NewLimits(&Config{MaxConnections: 1, Slot: 1})
	if l.Share(2); l.Most != 1 {
		t.Errorf("a worker may have %d connections", l.Most)
	}
}
