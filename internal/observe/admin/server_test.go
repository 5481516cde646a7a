package admin

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/internal/observe/address"
	"phalanx/internal/observe/status"
)

// short has limits for tests that wait for them, ample for all other tests.
var (
	short = limits{head: time.Second, read: time.Second, write: time.Second, idle: time.Minute, grace: time.Second}
	ample = limits{head: time.Minute, read: time.Minute, write: time.Minute, idle: time.Minute, grace: time.Second}
)

// running is a server for a fake pool on both kinds of listeners.
type running struct {
	*Server
	pool      *fakePool
	tcp, unix string // where

	mu  sync.Mutex
	log []string
}

func start(t *testing.T, limits limits) *running {
	t.Helper()
	r := &running{pool: &fakePool{pool: samplePool()}, unix: filepath.Join(t.TempDir(), "x.sock")}
	r.Server = newServer(Config{Source: r.pool, Log: func(line string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.log = append(r.log, line)
	}}, limits)
	tcp := listen(t, "127.0.0.1:0")
	r.tcp = tcp.Addr().String()
	r.Serve(tcp)
	r.Serve(listen(t, r.unix))
	t.Cleanup(func() { r.Close() })
	return r
}

func (r *running) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.log...)
}

// client returns a client of the server at HOST:PORT or a path.
func client(where string) *http.Client {
	network, _ := address.Address(where).Net()
	return &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives:  true,
			DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, where)
			},
		},
	}
}

// dial connects to a server on HOST:PORT or a path until the end of the test.
func dial(t *testing.T, where string) net.Conn {
	t.Helper()
	network, _ := address.Address(where).Net()
	c, err := net.Dial(network, where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func do(t *testing.T, c *http.Client, method, target string, fields ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	reply, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return reply, string(body)
}

func get(t *testing.T, c *http.Client, method, target string, code int) string {
	t.Helper()
	reply, body := do(t, c, method, target)
	if reply.StatusCode != code {
		t.Errorf("%s %s: %d %q, want %d", method, target, reply.StatusCode, body, code)
	}
	return body
}

func TestPanicEndsItsConnectionAlone(t *testing.T) {
	s := start(t, ample)
	s.pool.set(func(f *fakePool) { f.look = func() { panic("out\nof order") } })
	for _, target := range []string{"/metrics", "/status.json"} {
		if reply, err := client(s.tcp).Get("http://localhost" + target); err == nil {
			t.Errorf("%s: %s", target, reply.Status)
		}
	}
	s.pool.set(func(f *fakePool) { f.look = nil })
	get(t, client(s.tcp), "GET", "/status.json", 200)
	lines := s.lines()
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "admin endpoint: http: panic serving ") || strings.Contains(lines[0], "\n") {
		t.Errorf("logged: %q", lines)
	}
}

// Without a log nothing is logged.
func TestSilence(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	s := New(Config{Source: &fakePool{look: func() { panic("look") }}})
	l := listen(t, "127.0.0.1:0")
	s.Serve(l)
	if _, err := client(l.Addr().String()).Get("http://localhost/healthz"); err == nil {
		t.Error("the request has a response")
	}
	os.Stderr = before
	s.Close()
	w.Close()
	if text, err := io.ReadAll(r); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
}

// Close does not wait for clients without a request, gives up requests that never end, and
// removes the socket.
func TestClose(t *testing.T) {
	s := start(t, limits{head: time.Minute, read: time.Minute, write: time.Minute, idle: time.Minute, grace: time.Minute})
	dial(t, s.tcp)
	get(t, client(s.tcp), "GET", "/healthz", 200) // the connection was accepted before
	begin := time.Now()
	if err := s.Close(); err != nil || time.Since(begin) > 20*time.Second { // of the minute that the others have
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if _, err := os.Lstat(s.unix); err == nil || reachable("tcp", s.tcp) {
		t.Error("the socket or a connection is left")
	}
}

func TestCloseGivesUp(t *testing.T) {
	s := start(t, ample)
	begun, ended := make(chan bool), make(chan bool)
	s.pool.order = func(ctx context.Context) status.Outcome {
		begun <- true
		<-ctx.Done()
		defer close(ended)
		return status.Outcome{Message: "given up"}
	}
	answer := make(chan error, 1)
	go func() {
		_, err := client(s.unix).Post("http://localhost/reload", "", nil)
		answer <- err
	}()
	<-begun
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close returns before the order")
	}
	<-answer
	if lines := s.lines(); len(lines) != 0 {
		t.Errorf("logged: %q", lines)
	}
}

// While the server is suspended, no client is disconnected or refused: new ones wait for
// Resume or for the next program.
func TestSuspend(t *testing.T) {
	s := start(t, ample)
	for _, addr := range []string{s.tcp, s.unix} {
		if reply, err := client(addr).Get("http://localhost/healthz"); err != nil {
			t.Fatal(err)
		} else {
			reply.Body.Close()
		}
	}
	if err := s.Server.Suspend(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 2)
	for _, addr := range []string{s.tcp, s.unix} {
		go func() {
			reply, err := client(addr).Get("http://localhost/healthz")
			if err == nil {
				err = reply.Body.Close()
			}
			answers <- err
		}()
	}
	select {
	case err := <-answers:
		t.Errorf("a request has a response: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Server.Resume()
	for range 2 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if err := s.Server.Suspend(20 * time.Second); err != nil {
		t.Error(err)
	}
	if err := s.Server.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.unix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file still exists: %v", err)
	}
}
