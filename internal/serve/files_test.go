package serve_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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
