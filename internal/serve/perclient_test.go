package serve_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// dialFrom connects from a client address.
func dialFrom(t *testing.T, s *servetest.Server, client string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	d.SetMultipathTCP(false)
	c, err := d.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// asked reports whether a request is served; if not, the connection has to be closed without a response.
func asked(t *testing.T, c net.Conn) bool {
	t.Helper()
	c.SetDeadline(time.Now().Add(time.Minute))
	_, err := io.WriteString(c, servetest.Get("/f"))
	if err == nil {
		var b [1]byte
		if _, err = c.Read(b[:]); err == nil {
			return true
		}
	}
	if err != io.EOF && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("unexpected error %v", err)
	}
	return false
}

// A client never has more connections than the limit, another client is served meanwhile, and a connection that ends
// makes room for the next. One alert is sent.
func TestPerClient(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		const most, more = 3, 5
		var row scoreboard.Row
		var alerts atomic.Int64
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Row, cfg.MaxPerClient = &row, most
			cfg.Alert = func(line string) {
				if !strings.Contains(line, "client 127.0.0.1 has reached the limit of connections per client (3 in all, 3 in this worker)") {
					t.Errorf("unexpected alert %q", line)
				}
				alerts.Add(1)
			}
		})
		var open []net.Conn
		for range most {
			c := dialFrom(t, s, "127.0.0.1")
			if open = append(open, c); !asked(t, c) {
				t.Fatal("a client within its limit was not served")
			}
		}
		for range more {
			if asked(t, dialFrom(t, s, "127.0.0.1")) {
				t.Error("a client has more connections than its limit")
			}
		}
		other := dialFrom(t, s, "127.0.0.2")
		if !asked(t, other) {
			t.Error("another client was not served")
		}
		if n := row.Limited[scoreboard.LimitClient].Load(); n != more || alerts.Load() != 1 {
			t.Errorf("%d connections counted as closed, want %d; %d alerts, want 1", n, more, alerts.Load())
		}
		open[0].Close()
		systest.Await(t, "a new connection after one ended", func() bool {
			return asked(t, dialFrom(t, s, "127.0.0.1"))
		})
		s.Stop()
	})
}

// At the limit of connections, incomplete request heads make room: clients that never complete them cannot lock others
// out for long.
func TestIncompleteHeadsMakeRoom(t *testing.T) {
	dir := withFile(t, 10)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		const most, heads = 3, 6
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.Row, cfg.MaxConnections = &row, most })
		var half []net.Conn
		for range heads {
			c := dialFrom(t, s, "127.0.0.1")
			half = append(half, c)
			io.WriteString(c, "GET /f HTTP/1.1\r\nHost: a\r\nX-Half: ")
		}
		began := time.Now()
		c := dialFrom(t, s, "127.0.0.2")
		servetest.Send(t, c, servetest.Get("/f"))
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 {
			t.Errorf("%s, want 200", res.Status)
		}
		if n := row.Limited[scoreboard.LimitHead].Load(); n == 0 {
			t.Errorf("served after %v without counting a closed incomplete head", time.Since(began))
		}
		for _, c := range half {
			c.Close()
		}
		s.Stop()
	})
}

// A smaller share of connections closes idle ones at once.
func TestSmallerShareClosesIdleConnections(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.Row, cfg.MaxConnections = &row, 8 })
		for range 8 {
			if !asked(t, dialFrom(t, s, "127.0.0.1")) {
				t.Fatal("a client was not served")
			}
		}
		awaitIdle(t, s, 0)
		s.Order(serve.Share{Slots: 4})
		systest.Await(t, "six closed connections", func() bool { return row.Limited[scoreboard.LimitIdle].Load() == 6 })
		s.Stop()
	})
}
