package serve_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// At the limit of connections, the connections that have been idle for longest are closed, and busy ones never are:
// idle clients cannot lock others out. One alert is sent.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	dir := withFile(t, 10)
	servetest.Sparse(t, dir+"/large", large)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		const most = 8
		var row scoreboard.Row
		var alerts atomic.Int64
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Row, cfg.MaxConnections = &row, most
			cfg.Alert = func(line string) {
				if !strings.Contains(line, "limit of 8 connections reached") {
					t.Errorf("unexpected alert %q", line)
				}
				alerts.Add(1)
			}
		})
		download := s.Dial()
		res, _ := servetest.Begin(t, download, "/large", 1000)
		var clients []*net.TCPConn
		ask := func() *net.TCPConn {
			t.Helper()
			c := s.DialWith(servetest.Get("/f"))
			if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 || res.Close {
				t.Fatalf("%s, %d bytes; want 200 with 10 on a connection that stays open", res.Status, len(body))
			}
			awaitIdle(t, s, 1)
			return c
		}
		const others = 5 * most
		for range others {
			clients = append(clients, ask())
		}
		for i, c := range clients {
			c.SetReadDeadline(time.Now().Add(time.Minute))
			if i >= others-(most-1) {
				c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			}
			_, err := c.Read(make([]byte, 1))
			if closed := err == io.EOF; closed != (i < others-(most-1)) {
				t.Errorf("client %d of %d: closed is %v, want %v", i, others, closed, !closed)
			}
		}
		if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil {
			t.Errorf("the download: %d bytes more, error %v", n, err)
		}
		if n := row.Limited[scoreboard.LimitIdle].Load(); n != others-(most-1) {
			t.Errorf("%d idle connections counted as closed, want %d", n, others-(most-1))
		}
		if n := alerts.Load(); n != 1 {
			t.Errorf("%d alerts, want 1", n)
		}
		download.Close()
		for _, c := range clients {
			c.Close()
		}
		s.Stop()
	})
}

// awaitIdle waits until the server lists all of its connections as idle, except some that are busy.
func awaitIdle(t *testing.T, s *servetest.Server, busy int) {
	t.Helper()
	systest.Await(t, "a list of idle connections", func() bool {
		list := make(chan []serve.Seen, 1)
		s.Order(serve.List{Reply: list})
		n := 0
		for _, v := range <-list {
			if v.State != conn.Idle {
				n++
			}
		}
		return n == busy
	})
}

// At the limit, without idle connections, new clients are served as soon as another connection ends.
func TestLimitWithoutIdleConnections(t *testing.T) {
	dir := withFile(t, 10)
	servetest.Sparse(t, dir+"/large", large)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		fd, addr := servetest.Listen(t)
		servetest.Defer(t, fd)
		s := servetest.StartOn(t, dir, fd, addr, run, func(cfg *serve.Config) { cfg.MaxConnections = 2 })
		var busy []*net.TCPConn
		for range 2 {
			c := s.Dial()
			servetest.Begin(t, c, "/large", 1000)
			busy = append(busy, c)
		}
		var waiting []*net.TCPConn
		for range 4 {
			c := s.DialWith(servetest.Get("/f"))
			waiting = append(waiting, c)
		}
		busy[0].SetLinger(0)
		busy[0].Close()
		for _, c := range waiting {
			if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 {
				t.Errorf("%s, want 200", res.Status)
			}
		}
		busy[1].Close()
		for _, c := range waiting {
			c.Close()
		}
		s.Stop()
	})
}
