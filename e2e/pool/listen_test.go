package pool

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// listenAddress is one of a server's listen addresses.
type listenAddress struct {
	url  string // as in --listen
	idle *harness.Client
}

func (a *listenAddress) connect() (*harness.Client, error) {
	scheme, address, _ := strings.Cut(a.url, ":")
	if scheme == "unix" {
		return harness.ConnectUnix(address)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "//"))
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	c, err := harness.Connect(n)
	if err == nil && scheme == "https" {
		c.Conn = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
		c.In = bufio.NewReader(c.Conn)
	}
	return c, err
}

// askIdle requests a page on the connection that has been idle, for however long.
func (a *listenAddress) askIdle() (*harness.Reply, error) {
	a.idle.Renew()
	return a.idle.Ask(harness.Request("GET", "/"))
}

// request requests a page on a new connection.
func (a *listenAddress) request() error {
	c, err := a.connect()
	if err != nil {
		return fmt.Errorf("%s: %w", a.url, err)
	}
	defer c.Close()
	r, err := c.Ask(harness.Request("GET", "/", "Connection: close"))
	if err != nil || r.Status != 200 || string(r.Body) != "front" {
		return fmt.Errorf("%s: %+v, %w", a.url, r, err)
	}
	return nil
}

// listenAddresses waits until the server listens, and returns its addresses, each with an open connection.
func listenAddresses(t *testing.T, s *harness.Server) (all []*listenAddress) {
	t.Helper()
	s.AwaitServing()
	events, _ := s.Log.All()
	for _, url := range strings.Fields(harness.WithMessage(events, "serving")[0].Text("listen")) {
		a := &listenAddress{url: url}
		c, err := a.connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.idle.Close() })
		a.idle = c
		all = append(all, a)
	}
	return all
}

// requestAll requests a page at all addresses again and again until stop is called, which returns the errors.
func requestAll(all []*listenAddress) (stop func() error) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	for i, a := range all {
		wg.Go(func() {
			for errs[i] == nil {
				select {
				case <-quit:
					return
				default:
					errs[i] = a.request()
				}
			}
		})
	}
	return func() error {
		close(quit)
		wg.Wait()
		return errors.Join(errs...)
	}
}

// TestSeveralAddresses serves on two ports and a unix socket through a reload, more workers, an upgrade and
// the death of a worker: no client of any address notices, except for connections of the dead worker from
// the unix socket.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"epoll", "netpoll"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			serveSeveral(t, engine)
		})
	}
}

func serveSeveral(t *testing.T, engine string) {
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	path := filepath.Join(harness.OpenDir(t), "http.sock")
	dir := harness.Copies(t, "master", "worker")
	s := harness.Launch(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: []string{
		"--base", base, "--listen", "http://127.0.0.1:0", "--listen", "http://127.0.0.1:0", "--listen", "unix:" + path,
		"--workers", "2", "--keepalive", "10m", "--engine", engine, "-v", "--log-format", "json",
	}})
	all := listenAddresses(t, s)
	if len(all) != 3 || all[0].url == all[1].url || all[2].url != "unix:"+path {
		t.Fatalf("listen addresses %v, want two ports and the unix socket", all)
	}
	stages(t, s, all, engine == "epoll")
	if engine == "epoll" {
		killOne(t, s, all)
	}
	s.Stop(10 * time.Second)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file remains after the stop: %v", err)
	}
}

// stages takes a pool of two workers through everything that must not affect clients. Only the epoll engine
// hands idle connections over.
func stages(t *testing.T, s *harness.Server, all []*listenAddress, movable bool) {
	t.Helper()
	for stage, step := range []struct {
		name string
		do   func()
	}{
		{"the start", func() {}},
		{"a reload", func() { s.Replace(syscall.SIGHUP, 2) }},
		{"more workers", func() {
			s.Signal(syscall.SIGTTIN)
			s.AwaitWorkers(3)
		}},
		{"an upgrade", func() { s.Replace(syscall.SIGUSR2, 3) }},
	} {
		stop := requestAll(all)
		step.do()
		for _, a := range all {
			r, err := a.askIdle()
			switch {
			case !movable && stage > 0:
				a.idle.Close()
				if a.idle, err = a.connect(); err != nil {
					t.Fatal(err)
				}
			case err != nil || r.Status != 200 || r.Closes():
				t.Fatalf("after %s, an idle connection to %s: %+v, error %v", step.name, a.url, r, err)
			}
		}
		if err := stop(); err != nil {
			t.Fatalf("during %s: %v", step.name, err)
		}
	}
}

// TestSeveralHTTPSAddresses serves on two HTTPS ports and, without TLS, a unix socket through a reload and an
// upgrade.
func TestSeveralHTTPSAddresses(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	dir := harness.Copies(t, "master", "worker")
	s := harness.Launch(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: []string{
		"--base", base, "--listen", "https://127.0.0.1:0", "--listen", "https://127.0.0.1:0",
		"--listen", "unix:" + filepath.Join(harness.OpenDir(t), "http.sock"), "--tls-self-signed", "--workers", "2", "--keepalive", "10m", "-v", "--log-format", "json",
	}})
	all := listenAddresses(t, s)
	stop := requestAll(all)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2} {
		s.Replace(sig, 2)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	r, err := all[2].askIdle()
	if err != nil || r.Status != 200 || r.Closes() {
		t.Errorf("an idle connection to the unix socket: %+v, error %v", r, err)
	}
	s.Stop(10 * time.Second)
}

// killOne kills a worker: its replacement serves every address.
func killOne(t *testing.T, s *harness.Server, all []*listenAddress) {
	t.Helper()
	stop := requestAll(all[:2])
	victim := s.Workers()[0]
	harness.Kill(t, victim, syscall.SIGKILL)
	s.AwaitWorkers(3, victim)
	if err := stop(); err != nil {
		t.Fatalf("while a worker was killed: %v", err)
	}
	for _, a := range all {
		for range 20 {
			if err := a.request(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := a.askIdle()
		if strings.HasPrefix(a.url, "unix:") && harness.IsCut(err) {
			continue // its worker was killed
		}
		if err != nil || r.Status != 200 {
			t.Errorf("after a worker's death, an idle connection to %s: %+v, error %v", a.url, r, err)
		}
	}
}

// TestSecondServerAtSharedAddress starts a second server with one of the first one's addresses and another
// one: it refuses to start. A killed server's socket file can be reused.
func TestSecondServerAtSharedAddress(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	path := filepath.Join(harness.OpenDir(t), "http.sock")
	s := harness.Launch(t, harness.Plan{Args: []string{
		"--base", base, "--listen", fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t)), "--listen", "unix:" + path, "--workers", "2", "-v", "--log-format", "json",
	}})
	all := listenAddresses(t, s)
	free := "http://127.0.0.1:" + strconv.Itoa(harness.FreePort(t))
	for _, a := range all {
		o := harness.Attempt(t, harness.Plan{Args: []string{"--base", base, "--listen", free, "--listen", a.url}})
		o.Rejects(t, 1, "--listen "+a.url+": already in use by ", "; stop it or choose another p")
		for range 10 {
			if err := a.request(); err != nil {
				t.Error(err)
			}
		}
	}
	// A server that is killed with its workers leaves its socket file to the next one.
	s.Signal(syscall.SIGKILL)
	<-s.Exited
	harness.Await(t, 5*time.Second, "the exit of all its processes", func() bool {
		left := s.Session()
		for _, p := range left {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // it may have exited
		}
		return len(left) == 0
	})
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the socket file of the killed server is gone: %v", err)
	}
	next := harness.Launch(t, harness.Plan{Args: []string{
		"--base", base, "--listen", "unix:" + path, "--listen", all[0].url, "-v", "--log-format", "json",
	}})
	for _, a := range listenAddresses(t, next) {
		if err := a.request(); err != nil {
			t.Error(err)
		}
	}
}

// TestSeveralActivatedSockets passes two TCP sockets and a unix socket to the server, with clients in their
// accept queues, and again to a second server.
func TestSeveralActivatedSockets(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	path := filepath.Join(harness.OpenDir(t), "http.sock")
	var files []*os.File
	var all []*listenAddress
	for _, where := range []string{"127.0.0.1:0", "127.0.0.1:0", path} {
		f, url := harness.Listening(t, where)
		files = append(files, f)
		all = append(all, &listenAddress{url: url})
	}
	for range 2 {
		var early []*harness.Client
		for _, a := range all {
			c, err := a.connect()
			if err == nil {
				err = c.Send(harness.Request("GET", "/", "Connection: close"))
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			early = append(early, c)
		}
		s := harness.Launch(t, harness.Plan{
			Before: []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=http:phalanx-other.socket:http exec "$@"`, "sh"},
			Args:   []string{"--base", base, "--port", "1", "--workers", "3", "-v", "--log-format", "json"},
			Files:  files,
		})
		served := listenAddresses(t, s)
		if !slices.EqualFunc(served, all, func(a, b *listenAddress) bool { return a.url == b.url }) {
			t.Fatalf("the server serves %v, want %v", served, all)
		}
		for i, c := range early {
			if r, err := c.Reply("GET"); err != nil || string(r.Body) != "front" {
				t.Errorf("the client in the accept queue of %s: %v, error %v", all[i].url, r, err)
			}
		}
		stop := requestAll(all)
		for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2} {
			s.Replace(sig, 3)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		s.Stop(5 * time.Second)
	}
}

// TestActivatedSocketForHTTPS passes a socket named https to the server: it serves HTTPS there.
func TestActivatedSocketForHTTPS(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	f, url := harness.Listening(t, "127.0.0.1:0")
	a := &listenAddress{url: strings.Replace(url, "http:", "https:", 1)}
	activated := func(args ...string) harness.Plan {
		return harness.Plan{
			Before: []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=https exec "$@"`, "sh"},
			Args:   append([]string{"--base", base, "--workers", "2"}, args...), Files: []*os.File{f},
		}
	}
	s := harness.Launch(t, activated("-v", "--log-format", "json", "--tls-self-signed"))
	s.AwaitServing()
	events, _ := s.Log.All()
	if got := harness.WithMessage(events, "serving")[0].Text("url"); got != a.url+"/" {
		t.Errorf("the server serves %s, want %s/", got, a.url)
	}
	for range 10 {
		if err := a.request(); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop(5 * time.Second)
	harness.Attempt(t, activated()).Rejects(t, 64, "https: no certificate; add --tls-cert")
}
