package limits

import (
	"math"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// All workers together have no more connections than they may; everybody is served,
// because idle ones make room, and operators learn why.
func TestMaxConnections(t *testing.T) {
	const most, clients = 20, 60
	s, e := harness.Seen(t, tree(t), "--workers", "3", "--max-connections", "20")
	began := time.Now()
	for range clients {
		if _, ok := hold(t, visitor, s.Port); !ok {
			t.Fatal("a client is not served at the limit of connections")
		}
		if n := e.Pool().Total.Active; n > most {
			t.Fatalf("%d connections are open, %d may be", n, most)
		}
	}
	harness.Await(t, 5*time.Second, "each closed connection is counted", func() bool {
		return e.Pool().Total.Limited["idle"] >= clients-most
	})
	s.AwaitText("limit of 20 connections (7 in this worker) reached")
	if n := strings.Count(s.Log.String(), "connections (7 in this worker) reached"); n > 2 && time.Since(began) < time.Minute { // two of three have a share of 7
		t.Errorf("%d alerts by two workers in less than a minute", n)
	}
	// With a worker less, the others' shares are larger.
	s.Signal(syscall.SIGTTOU)
	s.AwaitWorkers(2)
	for range clients {
		if _, ok := hold(t, visitor, s.Port); !ok {
			t.Fatal("a client is not served after scaling")
		}
	}
	if n := e.Pool().Total.Active; n > most {
		t.Errorf("%d connections are open after scaling, %d may be", n, most)
	}
}

// One client has no more connections than it may, give or take the margin of
// docs/limits.md, and another is served meanwhile. Those that are handed over at a reload,
// or rescued, still count, and those that were closed no longer.
func TestMaxPerClient(t *testing.T) {
	const limit, workers, tries = 20, 2, 120
	s, e := harness.Seen(t, tree(t), "--workers", "2", "--max-connections-per-client", "20")
	bound := limit + int(math.Ceil(4*math.Sqrt(limit*workers))) + workers
	var open []net.Conn
	flood := func() {
		t.Helper()
		before := len(open)
		for range tries {
			if c, ok := hold(t, attacker, s.Port); ok {
				open = append(open, c)
			}
		}
		if n := len(open); n < limit || n > bound {
			t.Errorf("%d connections of one client, %d before, want %d to %d", n, before, limit, bound)
		}
		if _, ok := hold(t, visitor, s.Port); !ok {
			t.Error("another client is not served")
		}
	}
	flood()
	harness.Await(t, 5*time.Second, "each closed connection is counted", func() bool {
		return e.Pool().Total.Limited["client"] == uint64(tries-len(open))
	})
	s.AwaitText("client 127.0.0.1 has reached the limit of connections per client (20 in all, 20 in this worker)")
	before := s.Workers()
	s.Signal(syscall.SIGHUP)
	s.AwaitWorkers(workers, before...)
	flood()
	before = s.Workers()
	harness.Kill(t, before[0], syscall.SIGKILL)
	s.AwaitWorkers(workers, before[0])
	flood()
	for _, c := range open {
		if !ask(c) {
			t.Fatal("a connection within the limit was closed")
		}
		c.Close()
	}
	open = nil
	harness.Await(t, 5*time.Second, "connections in the place of those that ended", func() bool {
		_, ok := hold(t, attacker, s.Port)
		return ok
	})
}
