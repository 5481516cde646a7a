package serve_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

const large = 64 << 20 // more than the sockets' buffers hold

// A file that becomes shorter than announced ends its connection and no other.
func TestFileShrinks(t *testing.T) {
	dir := t.TempDir()
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		servetest.Sparse(t, dir+"/f", large)
		s := servetest.Start(t, dir, run, nil)
		c, other := s.Dial(), s.Dial()
		res, _ := servetest.Begin(t, c, "/f", 1000)
		if err := os.Truncate(dir+"/f", 2000); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= large-1000 {
			t.Errorf("%d bytes more, error %v; want a truncated response", n, err)
		}
		servetest.Send(t, other, servetest.Get("/f"))
		if res, body := servetest.Receive(t, bufio.NewReader(other)); res.StatusCode != 200 || len(body) != 2000 {
			t.Errorf("the other connection: %s, %d bytes; want 200 with 2000", res.Status, len(body))
		}
		c.Close()
		other.Close()
		s.Stop()
	})
}

// tail is a connection that keeps the last bytes received.
type tail struct {
	net.Conn
	kept []byte
}

func (c *tail) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.kept = append(c.kept, p[:n]...)
	c.kept = c.kept[max(0, len(c.kept)-24):]
	return n, err
}

// notified reports whether the last record received is a TLS 1.3 alert, by its size of 24 bytes.
func (c *tail) notified() bool { return bytes.HasPrefix(c.kept, []byte("\x17\x03\x03\x00\x13")) }

// Over TLS a truncated response is not followed by close_notify, which would mean that it is complete.
func TestSecureFileShrinks(t *testing.T) {
	dir := t.TempDir()
	credentials, client := servetest.Credentials(t, nil)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		servetest.Sparse(t, dir+"/f", large)
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		short, whole := &tail{Conn: s.Dial()}, &tail{Conn: s.Dial()}
		res, _ := servetest.Begin(t, servetest.Handshake(t, short, client), "/f", 1000)
		if err := os.Truncate(dir+"/f", 2000); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= large-1000 {
			t.Errorf("%d bytes more, error %v; want a truncated response", n, err)
		}
		if short.notified() {
			t.Error("a truncated response is followed by close_notify")
		}
		c := servetest.Handshake(t, whole, client)
		servetest.Send(t, c, servetest.Get("/f", "Connection: close"))
		if p, err := io.ReadAll(c); len(p) < 2000 || err != nil || !whole.notified() {
			t.Errorf("a complete response: %d bytes, error %v, close_notify %v", len(p), err, whole.notified())
		}
		short.Close()
		whole.Close()
		s.Stop()
	})
}

// If a file grows while it is sent, only the announced bytes are sent.
func TestFileGrows(t *testing.T) {
	dir := t.TempDir()
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		servetest.Sparse(t, dir+"/f", large)
		s := servetest.Start(t, dir, run, nil)
		c := s.Dial()
		res, r := servetest.Begin(t, c, "/f", 1000)
		f, err := os.OpenFile(dir+"/f", os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(strings.Repeat("more", 10000))
		f.Close()
		if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil {
			t.Errorf("%d bytes more, error %v; want %d", n, err, large-1000)
		}
		servetest.Send(t, c, servetest.Get("/nope"))
		if res, _ := servetest.Receive(t, r); res.StatusCode != 404 {
			t.Errorf("the next response: %s, want 404", res.Status)
		}
		c.Close()
		s.Stop()
	})
}

// narrow listens on a socket whose connections have small send buffers.
func narrow(t *testing.T) (int, string) {
	t.Helper()
	fd, addr := servetest.Listen(t)
	// Small segments, so that a small window never waits for a full one.
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1000)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
	return fd, addr
}

// A client that reads slowly receives everything, even if the connection is closed after the response.
func TestSlowReader(t *testing.T) {
	dir := t.TempDir()
	want := map[string][]byte{"/small": servetest.Noise(t, dir+"/small", 30<<10), "/large": servetest.Noise(t, dir+"/large", 40<<10)}
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		for path, data := range want {
			for _, fields := range [][]string{nil, {"Connection: close"}} {
				fd, addr := narrow(t)
				s := servetest.StartOn(t, dir, fd, addr, run, nil)
				c := s.Dial()
				c.SetReadBuffer(4096)
				// The kernel takes one small response completely, but not two.
				servetest.Send(t, c, servetest.Get(path)+servetest.Get(path, fields...))
				r := bufio.NewReaderSize(slowly{c}, 4096)
				for range 2 {
					if _, got := servetest.Receive(t, r); !bytes.Equal(got, data) {
						t.Errorf("%s %q: %d bytes, want the %d of the file", path, fields, len(got), len(data))
					}
				}
				c.Close()
				s.Stop()
			}
		}
	})
}

// slowly is a connection that reads small pieces after pauses.
type slowly struct{ net.Conn }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(200 * time.Microsecond)
	return s.Conn.Read(p[:min(len(p), 2000)])
}

// A client that disconnects at any point leaks nothing and disturbs no other client.
func TestClientDisconnects(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", large)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s := servetest.Start(t, dir, run, nil)
		for i := range 20 {
			c := s.Dial()
			switch i % 4 {
			case 0:
			case 1:
				servetest.Send(t, c, "GET /f HT")
			case 2:
				servetest.Begin(t, c, "/f", 100000)
			case 3:
				servetest.Begin(t, c, "/f", 100)
				c.SetLinger(0)
			}
			c.Close()
		}
		c := s.DialWith(servetest.Get("/nope"))
		if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 404 {
			t.Errorf("%s, want 404", res.Status)
		}
		c.Close()
		s.Stop()
	})
}

// A half-closed client still gets its responses (RFC 9112 §9.6).
func TestHalfClosed(t *testing.T) {
	dir := t.TempDir()
	data := servetest.Noise(t, dir+"/f", 1<<20)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s := servetest.Start(t, dir, run, nil)
		c := s.DialWith(servetest.Get("/f") + servetest.Get("/nope"))
		c.CloseWrite()
		r := bufio.NewReader(c)
		if _, got := servetest.Receive(t, r); !bytes.Equal(got, data) {
			t.Errorf("the file has %d bytes, want %d", len(got), len(data))
		}
		if res, _ := servetest.Receive(t, r); res.StatusCode != 404 {
			t.Errorf("%s, want 404", res.Status)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("after the last response: %v, want EOF", err)
		}
		s.Stop()
	})
}

// Unread requests after the last one served do not cause a reset before its response has arrived.
func TestLastReplyIsNotReset(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		want := servetest.Noise(t, dir+"/f", 1<<20)
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.Recv, cfg.Conn.Single = 1, true })
		c := s.Dial()
		// Three requests stay unread after the only one that is served.
		servetest.Send(t, c, strings.Repeat(servetest.Get("/f"), 4))
		unread := bufio.NewReader(slowly{c})
		if _, body := servetest.Receive(t, unread); !bytes.Equal(body, want) {
			t.Errorf("%d bytes arrived, want %d", len(body), len(want))
		}
		c.Close()
		s.Stop()
	})
}

// The response to a bad request arrives although the rest of the request is never read (RFC 9112 §9.6).
func TestErrorIsNotReset(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		for _, recv := range []int{1, 100, 65536} {
			s := servetest.Start(t, t.TempDir(), run, func(cfg *serve.Config) { cfg.Recv = recv })
			c := s.DialWith("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000/max(1, 1000/recv)))
			r := bufio.NewReader(c)
			if res, body := servetest.Receive(t, r); res.StatusCode != 405 || !res.Close || len(body) == 0 {
				t.Errorf("recv %d: %s, want 405 with Connection: close", recv, res.Status)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("recv %d: after the response: %v, want EOF", recv, err)
			}
			c.Close()
			s.Stop()
		}
	})
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

// The serial model serves one connection after another.
func TestSerial(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", large)
	servetest.Noise(t, dir+"/small", 10)
	s := servetest.Start(t, dir, runNetpoll, func(cfg *serve.Config) { cfg.Conn.Single = true })
	first, second := s.Dial(), s.Dial()
	res, _ := servetest.Begin(t, first, "/f", 1000)
	servetest.Send(t, second, servetest.Get("/small"))
	second.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := second.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("the second client is served during the first download: %d bytes, error %v", n, err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil || !res.Close {
		t.Errorf("the first download: %d bytes more, error %v, close %v", n, err, res.Close)
	}
	second.SetReadDeadline(time.Now().Add(time.Minute))
	if res, body := servetest.Receive(t, bufio.NewReader(second)); !res.Close || len(body) != 10 {
		t.Errorf("the second response: %s, close %v", res.Status, res.Close)
	}
	s.Stop()
}
