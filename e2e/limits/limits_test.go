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

// The workers together never exceed --max-connections. Every client is served, because idle
// connections are closed for new ones, and the log says that the limit was reached.
func TestMaxConnections(t *testing.T) {
	const most, clients = 20, 60
	s, e := harness.ServeWithAdmin(t, tree(t), "--workers", "3", "--max-connections", "20")
	began := time.Now()
	for range clients {
		if _, ok := hold(t, visitor, s.Port); !ok {
			t.Fatal("a client was not served at the connection limit")
		}
		if n := e.Pool().Total.Active; n > most {
			t.Fatalf("%d connections are open, want at most %d", n, most)
		}
	}
	harness.Await(t, 5*time.Second, "a count of each closed connection", func() bool {
		return e.Pool().Total.Limited["idle"] >= clients-most
	})
	s.AwaitText("limit of 20 connections (7 in this worker) reached")
	if n := strings.Count(s.Log.String(), "connections (7 in this worker) reached"); n > 2 && time.Since(began) < time.Minute { // two of the three workers have a share of 7
		t.Errorf("%d alerts by two workers in less than a minute, want at most 2", n)
	}
	// With one worker fewer, the shares of the others are larger.
	s.Signal(syscall.SIGTTOU)
	harness.Await(t, 20*time.Second, "two workers", func() bool { return len(s.Workers()) == 2 }) // it takes 11 s
	for range clients {
		if _, ok := hold(t, visitor, s.Port); !ok {
			t.Fatal("a client was not served after scaling")
		}
	}
	// Those that were handed over may have been more; a heartbeat reports when they are not.
	harness.Await(t, 10*time.Second, "at most 20 open connections after scaling", func() bool {
		return e.Pool().Total.Active <= most
	})
}

// A client never has more connections than --max-connections-per-client, within the margin
// that docs/limits.md gives, and another client is served meanwhile. Connections that were
// handed over at a reload or rescued still count; closed ones do not.
func TestMaxPerClient(t *testing.T) {
	const limit, workers, tries = 20, 2, 120
	s, e := harness.ServeWithAdmin(t, tree(t), "--workers", "2", "--max-connections-per-client", "20", "--keepalive", "5m")
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
			t.Error("another client was not served")
		}
	}
	flood()
	harness.Await(t, 5*time.Second, "a count of each closed connection", func() bool {
		return e.Pool().Total.Limited["client"] == uint64(tries-len(open))
	})
	s.AwaitText("client 127.0.0.1 has reached the limit of connections per client (20 in all, 20 in this worker)")
	s.Replace(syscall.SIGHUP, workers)
	flood()
	before := s.Workers()
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
	harness.Await(t, 5*time.Second, "a new connection after the others ended", func() bool {
		_, ok := hold(t, attacker, s.Port)
		return ok
	})
}
