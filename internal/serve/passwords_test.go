package serve_test

import (
	"bufio"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// slowPasswords accepts all credentials, once may is closed.
type slowPasswords struct {
	may     chan struct{} // closed when checks may succeed
	waiting chan string   // clients whose credentials are being checked
	closed  atomic.Int32
}

func (p *slowPasswords) Realm(int) string { return "x" }

func (p *slowPasswords) Check(_ int, _ []byte, client netip.Addr) (proto.Status, time.Duration, conn.Check) {
	p.waiting <- client.String()
	return 0, 0, &slowCheck{p: p, ended: make(chan struct{})}
}

type slowCheck struct {
	p     *slowPasswords
	ended chan struct{} // closed by Close
}

func (c *slowCheck) Status() proto.Status {
	select {
	case <-c.p.may:
		return proto.StatusOK
	default:
		return 0
	}
}

func (c *slowCheck) Await(wake func()) bool {
	go func() {
		select {
		case <-c.p.may:
		case <-c.ended:
		}
		wake()
	}()
	return true
}

func (c *slowCheck) Close() {
	close(c.ended)
	c.p.closed.Add(1)
}

// protected makes a server ask for credentials for "private" and everything below it.
func protected(t *testing.T, dir string) (p *slowPasswords, change func(*serve.Config), done func()) {
	t.Helper()
	root, err := site.Open(dir, site.Policy{Areas: []site.Area{{Pattern: "private"}}})
	if err != nil {
		t.Fatal(err)
	}
	p = &slowPasswords{may: make(chan struct{}), waiting: make(chan string, 10)}
	return p, func(cfg *serve.Config) { cfg.Conn.Site, cfg.Conn.Passwords = website.Uncached(root), p }, func() { root.Close() }
}

// Credentials are checked while other requests are served, and a drain waits for the checks. Check is called with the
// client's address, and pipelined requests are served after the check.
func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/private", 100)
	servetest.Noise(t, dir+"/public", 10)
	const ann = "Authorization: Basic YW5uOnJpZ2h0"
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		p, change, done := protected(t, dir)
		defer done()
		s := servetest.Start(t, dir, run, change)
		c, gone, other := s.Dial(), s.Dial(), s.Dial()
		defer other.Close()
		servetest.Send(t, c, servetest.Get("/private", ann)+servetest.Get("/public"))
		servetest.Send(t, gone, servetest.Get("/private", ann))
		for range 2 {
			if client := <-p.waiting; client != "127.0.0.1" {
				t.Errorf("credentials are checked for client %s, want 127.0.0.1", client)
			}
		}
		gone.Close()
		in := bufio.NewReader(other)
		for path, want := range map[string]int{"/public": 200, "/private": 401} {
			servetest.Send(t, other, servetest.Get(path))
			if res, _ := servetest.Receive(t, in); res.StatusCode != want {
				t.Errorf("%s during the check: %s, want %d", path, res.Status, want)
			}
		}
		s.Order(serve.Drain{})
		close(p.may)
		in = bufio.NewReader(c)
		for _, want := range []int{100, 10} {
			if res, body := servetest.Receive(t, in); res.StatusCode != 200 || len(body) != want {
				t.Errorf("%s, %d bytes; want 200 with %d", res.Status, len(body), want)
			}
		}
		c.Close()
		s.Wait()
		if n := p.closed.Load(); n != 2 {
			t.Errorf("%d checks closed, want 2", n)
		}
	})
}

// A stream of HTTP/2 waits for its own credentials only.
func TestPasswordsPerStream(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/private", 100)
	servetest.Noise(t, dir+"/public", 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		p, change, done := protected(t, dir)
		defer done()
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			change(cfg)
			cfg.Conn.HTTP2 = true
		})
		defer s.Stop()
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols}
		defer transport.CloseIdleConnections()
		ask := func(path string) (*http.Response, error) {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr+path, nil)
			if err != nil {
				return nil, err
			}
			r.SetBasicAuth("ann", "right")
			return transport.RoundTrip(r)
		}
		answered := make(chan string, 1)
		go func() {
			res, err := ask("/private")
			if err != nil {
				answered <- err.Error()
				return
			}
			res.Body.Close()
			answered <- res.Status + res.Header.Get("Cache-Control")
		}()
		<-p.waiting
		res, err := ask("/public")
		if err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 {
			t.Fatalf("/public during the check: %v, error %v", res, err)
		}
		res.Body.Close()
		close(p.may)
		if got := <-answered; !strings.HasPrefix(got, "200 OKprivate") {
			t.Errorf("/private: %s, want 200 with Cache-Control: private", got)
		}
	})
}
