package serve_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

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
