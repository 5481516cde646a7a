package serve_test

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// beforeDrain begins a download of /f over a socket with a small buffer, and then makes the server drain. It
// returns the client and the number of bytes that it has received.
func beforeDrain(t *testing.T, s *servetest.Server) (c *h2client, n int) {
	t.Helper()
	c = greetHTTP2(t, dialTight(t, s.Addr))
	c.ask(1, "/f")
	for n == 0 {
		_, n = c.content()
	}
	s.Order(serve.Drain{})
	return c, n
}

// some receives a frame, returns the window of its content, and the number of bytes. The server may
// have closed the connection if this client's kernel has received everything.
func (h *h2client) some() int {
	h.t.Helper()
	_, n := h.content()
	if n > 0 {
		_ = h.WriteWindowUpdate(0, uint32(n))
	}
	return n
}

// take receives the rest of size bytes of content, of which there are n already.
func (h *h2client) take(n, size int) {
	h.t.Helper()
	for n < size {
		n += h.some()
	}
}

// A slow client of a draining worker receives all of its last response, which the kernel sends long after the
// worker has passed it on, though the client opens windows meanwhile: a connection that is closed would answer
// them with a reset.
func TestHTTP2DrainDeliversTheLastResponse(t *testing.T) {
	dir := t.TempDir()
	const size = 2 << 20 // it fits into the send buffer of a local socket, and takes the client longer than conn.LingerTimeout
	servetest.Noise(t, filepath.Join(dir, "f"), size)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		s := servetest.Start(t, dir, run, speaksHTTP2)
		c, n := beforeDrain(t, s)
		pace := time.NewTicker(60 * time.Millisecond)
		defer pace.Stop()
		for n < size {
			<-pace.C
			n += c.some()
		}
		c.conn.Close()
		s.Wait()
	})
}

// lingers makes a server, whose clock it moves, drain while a client receives /f over a socket with a small buffer.
// It returns once the connection lingers, and the worker has passed all of the file to the kernel.
func lingers(t *testing.T, s *servetest.Server, clock *held) (c *h2client, n int) {
	t.Helper()
	clock.release()
	c, n = beforeDrain(t, s)
	systest.Await(t, "a connection that lingers", func() bool {
		list := make(chan []serve.Seen, 1)
		s.Order(serve.List{Reply: list})
		all := <-list
		return len(all) == 1 && all[0].State == conn.Ending
	})
	return c, n
}

// pass lets time pass for the server, which notices it when it receives something.
func (h *h2client) pass(clock *held, d time.Duration) {
	h.t.Helper()
	clock.ahead.Add(int64(d))
	h.must(h.WritePing(false, [8]byte{}))
	time.Sleep(20 * time.Millisecond)
}

// A client that receives nothing for some time still gets all of its last response.
func TestHTTP2GapInTheLastResponse(t *testing.T) {
	dir := t.TempDir()
	const size = 2 << 20 // it fits into the send buffer of a local socket
	servetest.Noise(t, filepath.Join(dir, "f"), size)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		clock := held{times: 1}
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			speaksHTTP2(cfg)
			cfg.Clock = clock.read
		})
		c, n := lingers(t, s, &clock)
		for range 6 {
			c.pass(&clock, conn.LingerTimeout)
		}
		c.take(n, size)
		c.conn.Close()
		s.Wait()
	})
}

// A client below the minimum rate keeps its connection no longer because its last response is still in the
// kernel's queue.
func TestLingeringClientBelowTheMinimumRate(t *testing.T) {
	dir := t.TempDir()
	const size = 2 << 20 // it fits into the send buffer of a local socket, and takes the client longer than a server without CPU time
	servetest.Noise(t, filepath.Join(dir, "f"), size)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		clock := held{times: 1}
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			speaksHTTP2(cfg)
			cfg.Conn.MinRate = 1 << 20
			cfg.Clock = clock.read
		})
		c, n := lingers(t, s, &clock)
		for {
			f, err := c.ReadFrame()
			if err != nil { // the server has closed the connection
				s.Wait()
				return
			}
			if d, ok := f.(*http2.DataFrame); ok {
				n += len(d.Data())
			}
			if n == size {
				t.Fatal("a client that is too slow keeps its connection")
			}
			clock.ahead.Add(int64(conn.LingerTimeout))
			if c.WritePing(false, [8]byte{}) != nil {
				s.Wait()
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// At the limit of connections, one whose HTTP/2 client still receives its response is not closed as idle.
func TestHTTP2ReceivingClientIsNotIdle(t *testing.T) {
	dir := withFile(t, 10)
	const size = 1 << 20 // it fits into the send buffer of a local socket
	servetest.Noise(t, filepath.Join(dir, "large"), size)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		const most = 4
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			speaksHTTP2(cfg)
			cfg.MaxConnections, cfg.Conn.KeepAlive = most, time.Hour
		})
		c := greetHTTP2(t, dialTight(t, s.Addr))
		c.ask(1, "/large")
		n := 0
		for n == 0 {
			_, n = c.content()
		}
		awaitIdle(t, s, 0)
		for range 3 * most {
			asked(t, s.Dial())
			awaitIdle(t, s, 0)
		}
		c.take(n, size)
		c.conn.Close()
		s.Stop()
	})
}

// HTTP/2 clients that receive nothing do not lock others out.
func TestHTTP2DeafClientsMakeRoom(t *testing.T) {
	dir := withFile(t, 10)
	servetest.Noise(t, filepath.Join(dir, "large"), 400_000)
	servetest.Sparse(t, filepath.Join(dir, "huge"), large)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		const most = serve.MostSpared + 2
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			speaksHTTP2(cfg)
			cfg.MaxConnections, cfg.Conn.KeepAlive = most, time.Hour
		})
		var deaf []*h2client
		for range most {
			c := greetHTTP2(t, dialTight(t, s.Addr))
			c.ask(1, "/large")
			for n := 0; n == 0; {
				_, n = c.content()
			}
			deaf = append(deaf, c)
		}
		awaitIdle(t, s, 0)
		download := s.Dial() // one above the limit is served in any case
		servetest.Begin(t, download, "/huge", 1000)
		if !asked(t, s.Dial()) {
			t.Error("the next client is not served")
		}
		download.Close()
		for _, c := range deaf {
			c.conn.Close() // with a reset: it has not received everything
		}
		s.Stop()
	})
}
