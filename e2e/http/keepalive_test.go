package http

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestKeepAlive closes a connection once it has been idle for --keepalive, and not before. Each
// request restarts the timer.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		const timeout = 2 * time.Second
		s := harness.Serve(t, base, "--model", model, "--keepalive", timeout.String())
		methods := []string{"GET", "GET", "GET", "HEAD"}
		c, asked := s.Dial(), time.Now()
		for n, tries := 0, 1; n < len(methods); n++ {
			now := time.Now()
			r, err := c.Ask(harness.Request(methods[n], "/"))
			if err == nil {
				asked = now
				if r.Closes() {
					t.Error("Connection: close on a connection that stays open")
				}
				if n < len(methods)-1 {
					err = quiet(c, 1200*time.Millisecond)
				}
			}
			switch idle := time.Since(asked); {
			case err == nil:
			case idle < timeout || tries == 5:
				t.Fatalf("closed after less than %v idle: %v", idle, err)
			default: // this client got no CPU time until the timeout was over: start again
				c, asked, n, tries = s.Dial(), time.Now(), -1, tries+1
			}
		}
		s.MustEnd(c, 4*time.Second, "idle for longer than 2 s")
		if took := time.Since(asked); took < timeout-100*time.Millisecond {
			t.Errorf("closed after %v idle, want %v", took, timeout)
		}
	})
}

// quiet checks that nothing is received for a while and that the connection stays open.
func quiet(c *harness.Client, during time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(during)); err != nil {
		return err
	}
	if b, err := c.In.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("received %q, error %v; want nothing", b, err)
	}
	return c.SetDeadline(time.Now().Add(harness.ClientTimeout))
}

// TestHeadAndIdleTimeouts waits for the timeouts that have no flag: a request head must be complete
// 10 s after its first byte, however slowly its bytes arrive, and an idle connection stays open for
// longer than that.
func TestHeadAndIdleTimeouts(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	var idle, stuck, dripping []*harness.Client
	var servers []*harness.Server
	for _, model := range harness.Models() {
		s := harness.Serve(t, base, "--model", model)
		servers = append(servers, s)
		stuck = append(stuck, s.Dial())
		if model == "serial" {
			continue
		}
		idle = append(idle, s.Dial())
		dripping = append(dripping, s.Dial())
	}
	for i, c := range idle {
		servers[i].MustAsk(c, harness.Request("GET", "/"))
	}
	began := time.Now()
	for _, c := range append(stuck, dripping...) {
		if err := c.Send("GET / HTTP/1.1\r\nX: "); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, len(dripping))
	for _, c := range dripping {
		go func() { done <- sendSlowly(c, 29*time.Second) }()
	}
	for i, c := range append(stuck, dripping...) {
		r, err := c.Reply("GET")
		took := time.Since(began)
		if err != nil || r.Status != 408 || !r.Closes() {
			t.Errorf("client %d with an incomplete head: %v, error %v; want 408 and a close", i, r, err)
		}
		if took < 9*time.Second || took > 10*time.Second+harness.InTime(3*time.Second) {
			t.Errorf("client %d timed out after %v, want 10s", i, took)
		}
	}
	for _, c := range stuck {
		servers[0].MustEnd(c, 3*time.Second, "after 408")
	}
	for range dripping {
		if err := <-done; err == nil {
			t.Error("a client that sent its head byte by byte was not disconnected")
		}
	}
	for _, c := range idle {
		if r, err := c.Ask(harness.Request("GET", "/")); err != nil || string(r.Body) != "front" {
			t.Errorf("a connection that was idle for 10 of 30 s: %v, error %v", r, err)
		}
	}
	for _, s := range servers {
		s.MustServe("/", "front")
	}
}

// sendSlowly sends a byte every 200 ms, until it fails.
func sendSlowly(c *harness.Client, during time.Duration) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		if err := c.Send("x"); err != nil {
			return err
		}
	}
	return nil
}

// TestStalledClient requests a large file and reads nothing of it: after a minute the server closes
// the connection and serves the next client.
func TestStalledClient(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 1<<30)
	var servers []*harness.Server
	var stalled []*harness.Download
	began := time.Now()
	for _, model := range harness.Models() {
		s := harness.Serve(t, base, "--model", model)
		servers = append(servers, s)
		stalled = append(stalled, s.Begin("/big.bin", 16<<10))
	}
	for i, s := range servers {
		d := stalled[i]
		e := s.AwaitRequestWithin(75*time.Second, d.Client)
		if took := time.Since(began); took < 55*time.Second {
			t.Errorf("%s: closed after %v, want 60s", harness.Models()[i], took)
		}
		if e.Number("bytes") >= int(d.Length) {
			t.Errorf("%s: the truncated response is logged as complete: %v", harness.Models()[i], e)
		}
		if err := d.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
			t.Fatal(err)
		}
		if err := d.Rest(); err == nil {
			t.Errorf("%s: the download was completed, want it truncated", harness.Models()[i])
		}
		s.MustServe("/", "front")
	}
}

// TestSilentClient opens many connections that send nothing, and one that does not read its
// response: other clients are served without delay.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 1<<30)
	for _, model := range harness.Models() {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, base, "--model", model, "--workers", "1")
			for range 20 {
				s.Dial()
			}
			if model != "serial" {
				half := s.Dial()
				s.MustSend(half, "GET / HTTP/1.1\r\n")
				s.Begin("/big.bin", 4<<10)
			}
			began := time.Now()
			for range 20 {
				s.MustServe("/", "front")
			}
			if took := time.Since(began); took > harness.InTime(2*time.Second) {
				t.Errorf("20 requests took %v beside silent clients, want at most 2 s", took)
			}
		})
	}
}
