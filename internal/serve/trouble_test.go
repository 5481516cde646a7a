package serve

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// begin asks for the path and reads the head and the first n bytes.
func begin(t *testing.T, c net.Conn, path string, n int64) (*http.Response, *bufio.Reader) {
	t.Helper()
	send(t, c, get(path))
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.CopyN(io.Discard, res.Body, n); err != nil {
		t.Fatalf("%d bytes: %v", got, err)
	}
	return res, r
}

// sparse makes a file of n bytes that takes no room.
func sparse(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

const large = 64 << 20 // more than sockets hold

// A file that becomes shorter than announced ends its connection, and no
// other.
func TestFileShrinks(t *testing.T) {
	dir := t.TempDir()
	eachWay(t, func(t *testing.T, way int) {
		sparse(t, dir+"/f", large)
		s := start(t, way, dir, nil)
		c, other := s.dial(), s.dial()
		res, _ := begin(t, c, "/f", 1000)
		if err := os.Truncate(dir+"/f", 2000); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= large-1000 {
			t.Errorf("%d bytes more, %v", n, err)
		}
		send(t, other, get("/f"))
		if res, body := receive(t, bufio.NewReader(other)); res.StatusCode != 200 || len(body) != 2000 {
			t.Errorf("the other connection: %s, %d bytes", res.Status, len(body))
		}
		c.Close()
		other.Close()
		s.stop()
	})
}

// Of a file that grows only the bytes are sent that were announced.
func TestFileGrows(t *testing.T) {
	dir := t.TempDir()
	eachWay(t, func(t *testing.T, way int) {
		sparse(t, dir+"/f", large)
		s := start(t, way, dir, nil)
		c := s.dial()
		res, r := begin(t, c, "/f", 1000)
		f, err := os.OpenFile(dir+"/f", os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(strings.Repeat("more", 10000))
		f.Close()
		if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil {
			t.Errorf("%d bytes more, %v", n, err)
		}
		send(t, c, get("/nope"))
		if res, _ := receive(t, r); res.StatusCode != 404 {
			t.Errorf("the next reply: %s", res.Status)
		}
		c.Close()
		s.stop()
	})
}

// narrow makes the sockets that are accepted hold few bytes.
func narrow(t *testing.T) (int, string) {
	t.Helper()
	fd, addr := listen(t)
	// Small segments, so that a small window never waits for a whole one.
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1000)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
	return fd, addr
}

// A client that reads slowly gets all, also when its connection is closed
// after the reply.
func TestSlowReader(t *testing.T) {
	dir := t.TempDir()
	want := map[string][]byte{"/small": noise(t, dir+"/small", 30<<10), "/large": noise(t, dir+"/large", 40<<10)}
	eachWay(t, func(t *testing.T, way int) {
		for path, data := range want {
			for _, fields := range [][]string{nil, {"Connection: close"}} {
				fd, addr := narrow(t)
				s := startOn(t, way, dir, fd, addr, nil)
				c := s.dial()
				c.SetReadBuffer(4096)
				// The kernel takes one small reply whole; not a second.
				send(t, c, get(path)+get(path, fields...))
				r := bufio.NewReaderSize(slowly{c}, 4096)
				for range 2 {
					if _, got := receive(t, r); !bytes.Equal(got, data) {
						t.Errorf("%s %q: %d bytes of %d, or others", path, fields, len(got), len(data))
					}
				}
				c.Close()
				s.stop()
			}
		}
	})
}

// slowly is a connection that is read after a pause, in small pieces.
type slowly struct{ net.Conn }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(200 * time.Microsecond)
	return s.Conn.Read(p[:min(len(p), 2000)])
}

// A client that goes away in the middle leaves nothing behind and harms
// nobody.
func TestClientGoesAway(t *testing.T) {
	dir := t.TempDir()
	sparse(t, dir+"/f", large)
	eachWay(t, func(t *testing.T, way int) {
		s := start(t, way, dir, nil)
		for i := range 20 {
			c := s.dial()
			switch i % 4 {
			case 0:
			case 1:
				send(t, c, "GET /f HT")
			case 2:
				begin(t, c, "/f", 100000)
			case 3:
				begin(t, c, "/f", 100)
				c.SetLinger(0)
			}
			c.Close()
		}
		c := s.dial()
		send(t, c, get("/nope"))
		if res, _ := receive(t, bufio.NewReader(c)); res.StatusCode != 404 {
			t.Error(res.Status)
		}
		c.Close()
		s.stop()
	})
}

// A client that has sent its last byte still gets its reply (RFC 9112 §9.6
// leaves closing to both sides).
func TestHalfClosed(t *testing.T) {
	dir := t.TempDir()
	data := noise(t, dir+"/f", 1<<20)
	eachWay(t, func(t *testing.T, way int) {
		s := start(t, way, dir, nil)
		c := s.dial()
		send(t, c, get("/f")+get("/nope"))
		c.CloseWrite()
		r := bufio.NewReader(c)
		if _, got := receive(t, r); !bytes.Equal(got, data) {
			t.Errorf("%d bytes", len(got))
		}
		if res, _ := receive(t, r); res.StatusCode != 404 {
			t.Error(res.Status)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("not closed: %v", err)
		}
		s.stop()
	})
}

// A request that is never read must not reset the last reply away.
func TestLastReplyIsNotReset(t *testing.T) {
	eachWay(t, func(t *testing.T, way int) {
		dir := t.TempDir()
		want := noise(t, dir+"/f", 1<<20)
		s := start(t, way, dir, func(cfg *Config) { cfg.Recv, cfg.Conn.Single = 1, true })
		c := s.dial()
		// Three requests stay unread behind the one that is the last.
		send(t, c, strings.Repeat(get("/f"), 4))
		unread := bufio.NewReader(slowly{c})
		if _, body := receive(t, unread); !bytes.Equal(body, want) {
			t.Errorf("%d bytes of %d arrived", len(body), len(want))
		}
		c.Close()
		s.stop()
	})
}

// The reply to a bad request arrives though its rest is never read
// (RFC 9112 §9.6).
func TestErrorIsNotReset(t *testing.T) {
	eachWay(t, func(t *testing.T, way int) {
		for _, recv := range []int{1, 100, 65536} {
			s := start(t, way, t.TempDir(), func(cfg *Config) { cfg.Recv = recv })
			c := s.dial()
			send(t, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n"+strings.Repeat("x", 300000/max(1, 1000/recv)))
			r := bufio.NewReader(c)
			if res, body := receive(t, r); res.StatusCode != 405 || !res.Close || len(body) == 0 {
				t.Errorf("recv %d: %s", recv, res.Status)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("recv %d: %v", recv, err)
			}
			c.Close()
			s.stop()
		}
	})
}

// Draining: a download that is under way is finished, an idle connection has
// a last chance, what waits in the queue is served, and then all is over.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	sparse(t, dir+"/f", large)
	noise(t, dir+"/small", 10)
	eachWay(t, func(t *testing.T, way int) {
		s := start(t, way, dir, nil)
		active, idle, taken, gone := s.dial(), s.dial(), s.dial(), s.dial()
		for _, c := range []net.Conn{idle, taken, gone} {
			send(t, c, get("/small"))
			receive(t, bufio.NewReader(c))
		}
		res, _ := begin(t, active, "/f", 1000)
		began := time.Now()
		s.drain()
		s.untilRefused()
		send(t, taken, get("/small"))
		if res, body := receive(t, bufio.NewReader(taken)); !res.Close || len(body) != 10 {
			t.Errorf("the last chance: %s, close %v", res.Status, res.Close)
		}
		taken.Close()
		gone.Close()
		if n, err := idle.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("idle: %d %v", n, err)
		}
		if took := time.Since(began); took < conn.DrainGrace/2 || took > conn.DrainGrace+2*time.Second {
			t.Errorf("the last chance was %v", took)
		}
		select {
		case <-s.done:
			t.Fatal("the worker ended before the download")
		default:
		}
		if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil {
			t.Errorf("the download: %d bytes more, %v", n, err)
		}
		active.Close()
		s.wait()
	})
}

// untilRefused waits until the worker accepts no more.
func (s *server) untilRefused() {
	s.t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return
		}
		c.Close()
	}
	s.t.Fatal("still accepting")
}

// What waits in the accept queue when draining begins is answered.
func TestDrainTakesTheQueue(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/f", 10)
	eachWay(t, func(t *testing.T, way int) {
		fd, addr := listen(t)
		waiting := &server{t: t, addr: addr}
		var clients []*net.TCPConn
		for range 20 {
			c := waiting.dial()
			send(t, c, get("/f"))
			clients = append(clients, c)
		}
		s := startOn(t, way, dir, fd, addr, nil)
		s.drain()
		for i, c := range clients {
			if res, body := receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
				t.Errorf("client %d: %s", i, res.Status)
			}
			c.Close()
		}
		s.wait()
	})
}

// The serial model serves one connection at a time, to its end.
func TestSerial(t *testing.T) {
	dir := t.TempDir()
	sparse(t, dir+"/f", large)
	noise(t, dir+"/small", 10)
	s := start(t, 0, dir, func(cfg *Config) { cfg.Conn.Single = true })
	first, second := s.dial(), s.dial()
	res, _ := begin(t, first, "/f", 1000)
	send(t, second, get("/small"))
	second.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := second.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("the second is served beside the first: %d %v", n, err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil || !res.Close {
		t.Errorf("the first: %d bytes more, %v, close %v", n, err, res.Close)
	}
	second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if res, body := receive(t, bufio.NewReader(second)); !res.Close || len(body) != 10 {
		t.Errorf("the second: %s, close %v", res.Status, res.Close)
	}
	s.stop()
}
