package serve_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// several serves a directory on n sockets and returns a server for each; only the first takes orders and ends.
func several(t *testing.T, dir string, n int, run servetest.Run, change func(*serve.Config)) []*servetest.Server {
	t.Helper()
	var servers []*servetest.Server
	var listeners []serve.Listener
	for range n {
		fd, addr := servetest.Listen(t)
		servetest.Defer(t, fd)
		servers = append(servers, servetest.At(t, addr))
		listeners = append(listeners, serve.Listener{FD: fd})
	}
	servers[0].ServeAll(dir, listeners, run, change)
	return servers
}

// A worker serves all of its sockets and, when it drains, all of their accept queues.
func TestSeveralListeners(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		servers := several(t, dir, 3, run, nil)
		for _, s := range servers {
			c := s.DialWith(servetest.Get("/f"))
			if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
				t.Errorf("%s: %s, %d bytes; want 200 with 10", s.Addr, res.Status, len(body))
			}
			c.Close()
		}
		var waiting []*bufio.Reader
		for _, s := range servers {
			for range 3 {
				c := s.DialWith(servetest.Get("/f", "Connection: close"))
				waiting = append(waiting, bufio.NewReader(c))
			}
		}
		servers[0].Order(serve.Drain{})
		for i, r := range waiting {
			if res, body := servetest.Receive(t, r); res.StatusCode != 200 || len(body) != 10 {
				t.Errorf("connection %d in the accept queues: %s, %d bytes; want 200 with 10", i, res.Status, len(body))
			}
		}
		servers[0].Wait()
		for _, s := range servers {
			s.UntilRefused()
		}
	})
}

// At the limit of connections, a connection that ends makes room for another socket's clients too, however
// many wait at the same one.
func TestListenersShareTheLimit(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		row := new(scoreboard.Row)
		servers := several(t, dir, 2, run, func(cfg *serve.Config) { cfg.MaxConnections, cfg.Row = 1, row })
		var busy []*net.TCPConn // none of them is idle
		for range 16 {
			c := servers[0].DialWith("GET ")
			busy = append(busy, c)
		}
		c := servers[1].DialWith(servetest.Get("/f", "Connection: close"))
		served := func() bool { return row.Requests[2].Load() > 0 }
		for i, b := range busy {
			before := row.Accepted.Load()
			b.Close()
			systest.Await(t, "another connection accepted", func() bool { return row.Accepted.Load() > before || served() })
			if served() {
				break
			}
			if i == len(busy)-2 {
				t.Error("the client of the second socket is served last")
			}
		}
		if n, err := io.Copy(io.Discard, c); n == 0 || err != nil {
			t.Errorf("the response has %d bytes, error %v", n, err)
		}
		for _, b := range busy {
			b.Close()
		}
		servers[0].Stop()
	})
}

// A socket that fails ends the worker, which closes its other sockets.
func TestListenerFails(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		good, addr := servetest.Listen(t)
		pipe := make([]int, 2)
		if err := unix.Pipe2(pipe, unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		unix.Close(pipe[1]) // makes pipe[0] readable, at EOF
		s := servetest.At(t, addr)
		s.ServeAll(t.TempDir(), []serve.Listener{{FD: good}, {FD: pipe[0]}}, run, nil)
		select {
		case err := <-s.Done:
			if err == nil {
				t.Error("the engine ended without an error")
			}
		case <-time.After(time.Minute):
			t.Fatal("the engine did not end")
		}
		s.UntilRefused()
	})
}
