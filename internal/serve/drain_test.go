package serve_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// A worker whose slot is closed waits for connections that the kernel defers for up to ten seconds
// (TCP_DEFER_ACCEPT), but not if the whole server stops meanwhile.
func TestLastDrainEndsTheWait(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s := servetest.Start(t, dir, run, nil)
		answered := func() {
			t.Helper()
			c := s.DialWith(servetest.Get("/f", "Connection: close"))
			if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
				t.Errorf("%s, %d bytes; want 200 with 10", res.Status, len(body))
			}
			c.Close()
		}
		answered() // so the engine runs
		s.Order(serve.Drain{Steered: true})
		// Longer than the last worker waits: this one keeps accepting.
		for began := time.Now(); time.Since(began) < 2*serve.QuietMax; {
			answered()
		}
		select {
		case err := <-s.Done:
			t.Fatalf("the engine ended within %v, want %v; error %v", 2*serve.QuietMax, serve.Deferred, err)
		default:
		}
		c := s.DialWith(servetest.Get("/f", "Connection: close"))
		began := time.Now()
		s.Order(serve.Drain{})
		if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
			t.Errorf("a request from before the last drain: %s, %d bytes; want 200 with 10", res.Status, len(body))
		}
		c.Close()
		s.Wait()
		if took := time.Since(began); took < serve.Quiet || took > serve.Deferred/2 {
			t.Errorf("the engine ended %v after the last drain", took)
		}
	})
}

// Orders are executed in the order in which they were given, however close together: a worker that learns
// before, with or right after the order to drain that it is the last one ends as soon as the last one does.
func TestOrdersAreExecutedInOrder(t *testing.T) {
	steered, last := serve.Drain{Steered: true}, serve.Drain{}
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		for name, orders := range map[string]func(list serve.List) []serve.Order{
			"after":         func(serve.List) []serve.Order { return []serve.Order{steered, last} },
			"before":        func(serve.List) []serve.Order { return []serve.Order{last, steered} },
			"after a list":  func(list serve.List) []serve.Order { return []serve.Order{list, steered, last} },
			"between lists": func(list serve.List) []serve.Order { return []serve.Order{steered, list, last, list} },
		} {
			for _, running := range []bool{false, true} {
				list := serve.List{Reply: make(chan []serve.Seen, 2)} // closed by an engine that has ended
				fd, addr := servetest.Listen(t)
				s := servetest.At(t, addr)
				if running {
					s = servetest.StartOn(t, t.TempDir(), fd, addr, run, nil)
					c := s.DialWith(servetest.Get("/", "Connection: close"))
					servetest.Receive(t, bufio.NewReader(c))
					c.Close()
				}
				s.Order(orders(list)...)
				if !running {
					s.Serve(t.TempDir(), fd, run, nil)
				}
				began := time.Now()
				s.Wait()
				if took := time.Since(began); took > serve.Deferred/2 {
					t.Errorf("%s: the engine ended after %v", name, took)
				}
			}
		}
	})
}

// Orders after the end of the engine are discarded: their descriptors are closed, and a caller that waits for
// a list gets none.
func TestOrdersAfterTheEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s := servetest.Start(t, t.TempDir(), run, nil)
		s.Stop()
		from, to, err := ipc.Handover()
		if err != nil {
			t.Fatal(err)
		}
		lists := make(chan []serve.Seen, 1)
		s.Order(serve.List{Reply: lists}, serve.TakeOver{FD: to}, serve.HandOver{FD: from})
		if _, ok := <-lists; ok {
			t.Error("a list was returned after the engine ended")
		}
	})
}

// A draining engine reports that its accept queues are empty as soon as they are, while responses are still
// under way.
func TestQueuesEmpty(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/big", 16<<20)
	servetest.Noise(t, dir+"/f", 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		empty := make(chan struct{}, 2) // one more than expected
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.QueuesEmpty = func() { empty <- struct{}{} } })
		download := s.DialWith(servetest.Get("/big"))
		r := bufio.NewReader(download)
		if _, err := r.Peek(1); err != nil {
			t.Fatal(err)
		}
		waiting := s.DialWith(servetest.Get("/f", "Connection: close"))
		s.Order(serve.Drain{})
		<-empty
		if c, err := net.Dial("tcp", s.Addr); err == nil {
			c.Close()
			t.Error("the port still accepts connections")
		}
		if res, body := servetest.Receive(t, bufio.NewReader(waiting)); res.StatusCode != 200 || len(body) != 10 {
			t.Errorf("the request from the accept queue: %s, %d bytes; want 200 with 10", res.Status, len(body))
		}
		if res, body := servetest.Receive(t, r); res.StatusCode != 200 || len(body) != 16<<20 {
			t.Errorf("the download: %s, %d bytes", res.Status, len(body))
		}
		waiting.Close()
		download.Close()
		s.Wait()
		if len(empty) > 0 {
			t.Error("the engine reported empty queues twice")
		}
	})
}

// A client whose handshake ends during a drain is told that the first response is the last, also if its request comes
// in the same segment as the end of the handshake.
func TestRequestBehindHandshake(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		credentials, client := servetest.Credentials(t, nil)
		empty := make(chan struct{}, 1)
		s := servetest.StartSecure(t, dir, run, credentials, func(cfg *serve.Config) { cfg.QueuesEmpty = func() { empty <- struct{}{} } })
		c := &afterHello{Conn: s.Dial()}
		secure := servetest.Handshake(t, c, client)
		s.Order(serve.Drain{})
		<-empty
		servetest.Send(t, secure, servetest.Get("/f"))
		servetest.Send(t, c.Conn, string(c.held))
		if res, body := servetest.Receive(t, bufio.NewReader(secure)); !res.Close || len(body) != 10 {
			t.Errorf("%s, %d bytes, last response: %v; want 10 bytes in the last one", res.Status, len(body), res.Close)
		}
		c.Conn.Close()
		s.Wait()
	})
}

// afterHello holds back what is written after the ClientHello.
type afterHello struct {
	net.Conn
	begun bool
	held  []byte
}

func (c *afterHello) Write(p []byte) (int, error) {
	if c.begun {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	c.begun = true
	return c.Conn.Write(p)
}

// A drain completes downloads, gives idle connections a grace period for one more request, and serves the accept queue.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", large)
	servetest.Noise(t, dir+"/small", 10)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		clock := held{times: 1}
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.Clock = clock.read })
		active, idle, taken, gone := s.Dial(), s.Dial(), s.Dial(), s.Dial()
		for _, c := range []net.Conn{idle, taken, gone} {
			servetest.Send(t, c, servetest.Get("/small"))
			servetest.Receive(t, bufio.NewReader(c))
		}
		res, _ := servetest.Begin(t, active, "/f", 1000)
		began := time.Now()
		drains := make(chan struct{})
		s.Order(serve.Drain{}, serve.Confirm(func() { close(drains) }))
		<-drains
		servetest.Send(t, taken, servetest.Get("/small"))
		if res, body := servetest.Receive(t, bufio.NewReader(taken)); !res.Close || len(body) != 10 {
			t.Errorf("a request in the grace period: %s, close %v", res.Status, res.Close)
		}
		clock.release() // only now does the grace period pass
		taken.Close()
		gone.Close()
		if n, err := idle.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the idle connection: %d bytes, error %v; want EOF", n, err)
		}
		s.UntilRefused()
		if took := time.Since(began); took < conn.DrainGrace/2 || took > conn.DrainGrace+8*time.Second {
			t.Errorf("the grace period was %v, want about %v", took, conn.DrainGrace)
		}
		select {
		case <-s.Done:
			t.Fatal("the engine ended before the download")
		default:
		}
		if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil {
			t.Errorf("the download: %d bytes more, error %v", n, err)
		}
		active.Close()
		s.Wait()
	})
}

// A drain serves the connections that are in the accept queue when it begins.
func TestDrainServesAcceptQueue(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		fd, addr := servetest.Listen(t)
		waiting := servetest.At(t, addr)
		var clients []*net.TCPConn
		for range 20 {
			c := waiting.DialWith(servetest.Get("/f"))
			clients = append(clients, c)
		}
		s := servetest.StartOn(t, dir, fd, addr, run, nil)
		s.Order(serve.Drain{})
		for i, c := range clients {
			if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
				t.Errorf("client %d: %s, want 200", i, res.Status)
			}
			c.Close()
		}
		s.Wait()
	})
}
