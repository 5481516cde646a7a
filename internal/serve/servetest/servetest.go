// Package servetest serves directories in the process of a test with a given engine, and has
// helpers for its clients.
package servetest

import (
	"bufio"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// Run runs an engine until it has drained.
type Run func(cfg serve.Config, listeners []serve.Listener, orders *serve.Orders) error

// Site is a conn.Site with its root.
type Site struct {
	conn.Site
	Root *site.Root
}

// Server is a worker that serves a directory in this process.
type Server struct {
	t    testing.TB
	Addr string
	Done chan error // receives the result of Run

	orders serve.Orders
}

// Start serves a directory on a new socket. change, if not nil, changes the configuration.
func Start(t testing.TB, dir string, run Run, change func(*serve.Config)) *Server {
	t.Helper()
	fd, addr := Listen(t)
	return StartOn(t, dir, fd, addr, run, change)
}

// StartOn is Start on a given listening socket.
func StartOn(t testing.TB, dir string, fd int, addr string, run Run, change func(*serve.Config)) *Server {
	t.Helper()
	s := At(t, addr)
	s.Serve(dir, fd, run, change)
	return s
}

// At returns a server for an address that does not serve before Serve.
func At(t testing.TB, addr string) *Server {
	return &Server{t: t, Addr: addr, Done: make(chan error, 1)}
}

// Serve serves the directory on the server's socket.
func (s *Server) Serve(dir string, fd int, run Run, change func(*serve.Config)) {
	s.t.Helper()
	s.ServeAll(dir, []serve.Listener{{FD: fd}}, run, change)
}

// ServeAll serves the directory on several sockets.
func (s *Server) ServeAll(dir string, listeners []serve.Listener, run Run, change func(*serve.Config)) {
	s.t.Helper()
	root, err := site.Open(dir, site.Policy{Index: []string{"index.html"}})
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := serve.Config{Recv: 65536, Log: zerolog.Nop(), Conn: conn.Config{
		Site: Site{website.Uncached(root), root}, Server: "test", KeepAlive: 30 * time.Second, Expires: time.Hour,
	}}
	if change != nil {
		change(&cfg)
	}
	go func() {
		defer root.Close()
		s.Done <- run(cfg, listeners, &s.orders)
	}()
}

// Listen returns a listening socket's descriptor and its address.
func Listen(t testing.TB) (int, string) {
	t.Helper()
	return ListenOn(t, "127.0.0.1:0")
}

// Defer makes a listening socket accept a connection once its client has sent something, as those of
// the product do. One that has sent nothing is idle, and is closed at the limit of connections.
func Defer(t testing.TB, fd int) {
	t.Helper()
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(serve.Deferred/time.Second)); err != nil {
		t.Fatal(err)
	}
}

// ListenOn is Listen on a given address.
func ListenOn(t testing.TB, address string) (int, string) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", address)
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

// Order sends orders to the server.
func (s *Server) Order(orders ...serve.Order) {
	for _, o := range orders {
		s.orders.Put(o)
	}
}

// Stop drains the server as the last worker and waits for its end.
func (s *Server) Stop() {
	s.t.Helper()
	s.Order(serve.Drain{})
	s.Wait()
}

// Wait waits for the end of the server.
func (s *Server) Wait() {
	s.t.Helper()
	select {
	case err := <-s.Done:
		if err != nil {
			s.t.Error(err)
		}
	case <-time.After(time.Minute):
		s.t.Fatal("the worker does not end")
	}
}

// Dial connects to the server.
func (s *Server) Dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	s.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// DialWith connects to the server and sends it text.
func (s *Server) DialWith(text string) *net.TCPConn {
	s.t.Helper()
	c := s.Dial()
	Send(s.t, c, text)
	return c
}

// Get returns a GET request for the path with additional header fields.
func Get(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, "", ""), "\r\n")
}

// Send writes to a connection.
func Send(t testing.TB, c net.Conn, p string) {
	t.Helper()
	if _, err := io.WriteString(c, p); err != nil {
		t.Fatal(err)
	}
}

// Receive reads a reply and its body.
func Receive(t testing.TB, r *bufio.Reader) (*http.Response, []byte) {
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

// Noise writes a file of n random bytes and returns them.
func Noise(t testing.TB, path string, n int) []byte {
	t.Helper()
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(data)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return data
}

// Begin requests the path and reads the response head and the first n bytes.
func Begin(t *testing.T, c net.Conn, path string, n int64) (*http.Response, *bufio.Reader) {
	t.Helper()
	Send(t, c, Get(path))
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

// Sparse creates a sparse file of n bytes.
func Sparse(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

// UntilRefused waits until connections are refused.
func (s *Server) UntilRefused() {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return
		}
		c.Close()
	}
	s.t.Fatal("still accepting")
}

// Rounds is how often FewestMallocs calls its function.
const Rounds = 5

// FewestMallocs returns the fewest allocations of the whole process in Rounds calls of f: on a loaded machine the Go
// runtime starts threads now and then, each with some allocations.
func FewestMallocs(f func()) int {
	fewest := math.MaxInt
	for range Rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		fewest = min(fewest, int(after.Mallocs-before.Mallocs))
	}
	return fewest
}
