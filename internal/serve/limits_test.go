package serve

import (
	"net/netip"
	"strings"
	"testing"

	"phalanx/internal/clientip"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/proxyproto"
)

// Connections are counted per client, and counting allocates nothing.
func TestConnectionsPerClient(t *testing.T) {
	l := NewLimits(&Config{MaxPerClient: 3, Row: new(scoreboard.Row)})
	var a clientip.Addr
	client := func(n uint32) *clientip.Addr {
		a = clientip.From(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1))
		return &a
	}
	for n := range uint32(300) {
		for range 3 {
			if counted, ok := l.Admit(client(n), 0); !counted || !ok {
				t.Fatalf("client %d: counted %v, admitted %v; want both", n, counted, ok)
			}
		}
		if counted, ok := l.Admit(client(n), 0); counted || ok {
			t.Errorf("client %d was admitted above its limit", n)
		}
		l.Leave(client(n))
		if counted, ok := l.Admit(client(n), 0); !counted || !ok {
			t.Errorf("client %d was refused after one of its connections ended", n)
		}
	}
	at := uint32(1 << 20)
	if n := testing.AllocsPerRun(1000, func() { at++; l.Admit(client(at), 0); l.Leave(&a) }); n > 0 {
		t.Errorf("%v allocations per connection, want none", n)
	}
	for n := range uint32(300) {
		for range 3 {
			l.Leave(client(n))
		}
	}
	if len(l.clients) > 0 {
		t.Errorf("%d clients without connections are still counted", len(l.clients))
	}
	if counted, ok := l.Admit(nil, 0); counted || !ok {
		t.Errorf("a client without an address: counted %v, refused %v; want neither", counted, !ok)
	}
}

// The workers' shares of all connections add up to the limit, and each is at least one. A worker's share of a client's
// connections is a little larger than its part.
func TestWorkerShares(t *testing.T) {
	for _, slots := range []int{1, 2, 3, 7, 16} {
		sum := 0
		for slot := range slots {
			l := NewLimits(&Config{MaxConnections: 100, MaxPerClient: 100, Slot: slot})
			l.Share(slots)
			sum += l.Most
			if least := 100 / slots; l.most < least || l.most > 100 || slots == 1 && l.most != 100 {
				t.Errorf("one of %d workers allows a client %d of 100 connections", slots, l.most)
			}
		}
		if sum != 100 {
			t.Errorf("%d workers allow %d of 100 connections", slots, sum)
		}
	}
	if n := clientShare(100, 4); n != 45 { // docs/limits.md
		t.Errorf("one of four workers allows a client %d of 100 connections, want 45", n)
	}
	l := NewLimits(&Config{MaxConnections: 1, Slot: 1})
	if l.Share(2); l.Most != 1 {
		t.Errorf("a worker's share of one connection is %d, want 1", l.Most)
	}
}

// The alert about a PROXY header that is too long has the limits of both versions.
func TestAlertOfLongHeader(t *testing.T) {
	var alert string
	l := NewLimits(&Config{Row: new(scoreboard.Row), Alert: func(line string) { alert = line }})
	l.unproxied(proxyproto.ReasonTooLong, clientip.From(netip.MustParseAddrPort("192.0.2.1:1")), 0)
	if !strings.Contains(alert, "192.0.2.1 sent a PROXY header of more than 107 bytes (version 1) or 4096 (version 2)") {
		t.Errorf("alert %q", alert)
	}
}
