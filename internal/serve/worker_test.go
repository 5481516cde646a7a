package serve

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// beneath lets a connection open files of the root.
type beneath struct{ root *site.Root }

func (b beneath) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	f, status := b.root.Open(path, codings)
	return f, status
}

func (b beneath) List(_, _ []byte, _ bool) (conn.Stream, proto.Status) {
	return nil, proto.StatusForbidden
}
func (b beneath) Page(proto.Status) (conn.File, bool) { return nil, false }

// ways are the ways of waiting for sockets.
var ways = []struct {
	name string
	run  func(cfg Config, fd int, drain <-chan struct{}) error
}{
	{"goroutines", func(cfg Config, fd int, drain <-chan struct{}) error { return New(cfg).Run(fd, drain) }},
	{"loop", func(cfg Config, fd int, drain <-chan struct{}) error {
		l, err := NewLoop(cfg)
		if err != nil {
			return err
		}
		return l.Run(fd, drain)
	}},
}

// server is a worker that serves a directory in this process.
type server struct {
	t     testing.TB
	addr  string
	drain func() // begins to drain
	done  chan error
}

// start serves the directory with a configuration that may be changed.
func start(t testing.TB, way int, dir string, change func(*Config)) *server {
	t.Helper()
	fd, addr := listen(t)
	return startOn(t, way, dir, fd, addr, change)
}

func startOn(t testing.TB, way int, dir string, fd int, addr string, change func(*Config)) *server {
	t.Helper()
	return startWith(t, dir, fd, addr, ways[way].run, change)
}

// startWith starts a server whose connections are waited for by run.
func startWith(t testing.TB, dir string, fd int, addr string, run func(Config, int, <-chan struct{}) error, change func(*Config)) *server {
	t.Helper()
	root, err := site.Open(dir, site.Policy{Index: []string{"index.html"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Recv: 65536, Log: zerolog.Nop(), Conn: conn.Config{
		Site: beneath{root}, Server: "test", KeepAlive: 30 * time.Second, Expires: time.Hour,
	}}
	if change != nil {
		change(&cfg)
	}
	drain := make(chan struct{})
	s := &server{t: t, addr: addr, drain: func() { close(drain) }, done: make(chan error, 1)}
	go func() {
		defer root.Close()
		s.done <- run(cfg, fd, drain)
	}()
	return s
}

// listen returns a listening socket's descriptor and its address.
func listen(t testing.TB) (int, string) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return fd, l.Addr().String()
}

// stop drains the server and waits for its end.
func (s *server) stop() {
	s.t.Helper()
	s.drain()
	s.wait()
}

func (s *server) wait() {
	s.t.Helper()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Error(err)
		}
	case <-time.After(10 * time.Second):
		s.t.Fatal("the worker does not end")
	}
}

// dial connects to the server.
func (s *server) dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	s.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func get(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, "", ""), "\r\n")
}

// send writes to a connection.
func send(t testing.TB, c net.Conn, p string) {
	t.Helper()
	if _, err := io.WriteString(c, p); err != nil {
		t.Fatal(err)
	}
}

// receive reads a reply and its body.
func receive(t testing.TB, r *bufio.Reader) (*http.Response, []byte) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("read reply: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read body after %d bytes: %v", len(body), err)
	}
	return res, body
}

// noise makes a file of n bytes that do not repeat.
func noise(t testing.TB, path string, n int) []byte {
	t.Helper()
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(data)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return data
}

// eachWay runs the test with each way of waiting, and fails if a goroutine or
// a descriptor is left over.
func eachWay(t *testing.T, test func(t *testing.T, way int)) {
	t.Helper()
	for way := range ways {
		t.Run(ways[way].name, func(t *testing.T) {
			descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
			t.Run("", func(t *testing.T) { test(t, way) })
			for end := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
				d, g := openDescriptors(t), runtime.NumGoroutine()
				if d <= descriptors && g <= goroutines {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("%d descriptors, %d before; %d goroutines, %d before", d, descriptors, g, goroutines)
				}
			}
		})
	}
}

// openDescriptors counts the sockets and the files of tests.
func openDescriptors(t testing.TB) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if strings.HasPrefix(name, "socket:") || strings.HasPrefix(name, os.TempDir()) {
			n++
		}
	}
	return n
}

// Every file arrives byte for byte, whatever its size and however little is
// received at once, on one connection.
func TestDelivery(t *testing.T) {
	dir := t.TempDir()
	sizes := []int{0, 1, 1000, inlineMax - 1, inlineMax, inlineMax + 1, outSize, sendfileMax, sendfileMax + 1, 5 << 20}
	files := map[string][]byte{}
	for _, n := range sizes {
		name := fmt.Sprintf("/f%d", n)
		files[name] = noise(t, filepath.Join(dir, name), n)
	}
	eachWay(t, func(t *testing.T, way int) {
		for _, recv := range []int{1, 100, 65536} {
			s := start(t, way, dir, func(cfg *Config) { cfg.Recv = recv })
			c := s.dial()
			r := bufio.NewReader(c)
			for name, want := range files {
				send(t, c, get(name))
				if res, got := receive(t, r); !bytes.Equal(got, want) || res.ContentLength != int64(len(want)) {
					t.Errorf("recv %d, %s: %d bytes of %d, or others", recv, name, len(got), len(want))
				}
			}
			send(t, c, get("/nope")+get("/f5242880", "Range: bytes=1000000-4999999"))
			if res, _ := receive(t, r); res.StatusCode != 404 {
				t.Errorf("recv %d: %s", recv, res.Status)
			}
			if res, got := receive(t, r); res.StatusCode != 206 || !bytes.Equal(got, files["/f5242880"][1000000:5000000]) {
				t.Errorf("recv %d: %s, %d bytes", recv, res.Status, len(got))
			}
			c.Close()
			s.stop()
		}
	})
}

// Many requests in one packet get their replies in order, large and small.
func TestPipelining(t *testing.T) {
	dir := t.TempDir()
	small, large := noise(t, dir+"/small", 3000), noise(t, dir+"/large", 200<<10)
	eachWay(t, func(t *testing.T, way int) {
		for _, recv := range []int{1, 100, 65536} {
			s := start(t, way, dir, func(cfg *Config) { cfg.Recv = recv })
			c := s.dial()
			go io.WriteString(c, strings.Repeat(get("/small")+get("/large")+get("/small"), 20)+get("/small", "Connection: close"))
			r := bufio.NewReader(c)
			for i := range 61 {
				want := small
				if i%3 == 1 {
					want = large
				}
				if res, got := receive(t, r); !bytes.Equal(got, want) || res.Close != (i == 60) {
					t.Fatalf("recv %d, reply %d: %d bytes, close %v", recv, i, len(got), res.Close)
				}
			}
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
				t.Errorf("%d bytes behind the last reply: %v", len(rest), err)
			}
			s.stop()
		}
	})
}
