package observe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// scrape reads /metrics and returns the sum of a metric over its labels.
func scrape(e *harness.Endpoint, metric string) (float64, error) {
	code, body, err := e.Ask("GET", "/metrics")
	if err != nil || code != 200 {
		return 0, fmt.Errorf("GET /metrics: %d, %w", code, err)
	}
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name, _, _ = strings.Cut(name, "{"); name != metric {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("GET /metrics: %q: %w", line, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		return 0, fmt.Errorf("GET /metrics: no metric %s", metric)
	}
	return sum, nil
}

// count sends a request every 2 ms on one connection, and counts the responses.
func count(s *harness.Server, quit <-chan struct{}, sent *atomic.Int64) {
	c, err := harness.Connect(s.Port)
	if err != nil {
		s.T.Error(err)
		return
	}
	defer c.Close()
	for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
		select {
		case <-quit:
			return
		default:
		}
		if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
			s.T.Error(err)
			return
		}
		if r, err := c.Ask(harness.Request("GET", "/")); err != nil || r.Status != 200 {
			s.T.Errorf("request %d: %v", sent.Load(), err)
			return
		}
		sent.Add(1)
	}
}

// TestScrapesDuringReloads scrapes the counters all the time during ten reloads: each scrape succeeds,
// and no counter goes down or counts twice.
func TestScrapesDuringReloads(t *testing.T) {
	t.Parallel()
	const restarts, metric = 10, "phalanx_http_requests_total"
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	var sent atomic.Int64
	quit := make(chan struct{})
	var joined sync.WaitGroup
	joined.Go(func() { count(s, quit, &sent) })
	last, during := 0.0, 0
	look := func() {
		t.Helper()
		least := sent.Load()
		n, err := scrape(e, metric)
		most := sent.Load() + 1
		if err != nil {
			t.Fatal(err)
		}
		if n < last || n < float64(least) || n > float64(most) {
			t.Errorf("%s is %v, previously %v; want %d to %d", metric, n, last, least, most)
		}
		last = n
	}
	for range restarts {
		done := make(chan harness.Outcome)
		go func() {
			code, body, err := e.Ask("POST", "/reload")
			done <- harness.Outcome{Code: code, Out: body, Err: fmt.Sprint(err)}
		}()
		for waiting := true; waiting; during++ {
			look()
			select {
			case o := <-done:
				waiting = false
				if o.Code != 200 {
					t.Errorf("POST /reload: %+v", o)
				}
			default:
			}
		}
	}
	close(quit)
	joined.Wait()
	look()
	if last != float64(sent.Load()) {
		t.Errorf("%v requests were counted, want %d", last, sent.Load())
	}
	if n, err := scrape(e, "phalanx_reloads_total"); err != nil || n != restarts {
		t.Errorf("%v reloads were counted, error %v; want %d", n, err, restarts)
	}
	t.Logf("%d scrapes during %d reloads, %d requests", during, restarts, sent.Load())
	s.Stop(5 * time.Second)
}

// TestStuckScrapers opens many connections to the admin endpoint that never read their responses or
// never complete a request: requests to the server and to the endpoint are served, and the server
// stops in time.
func TestStuckScrapers(t *testing.T) {
	t.Parallel()
	for kind, addr := range map[string]string{"unix": harness.SocketPath(t), "tcp": harness.Loopback(harness.FreePort(t))} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--admin", addr)
			workers := s.Workers()
			e := harness.EndpointAt(t, addr)
			greedy := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
			for i := range 150 {
				c, err := net.Dial(map[bool]string{true: "unix", false: "tcp"}[kind == "unix"], addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				text := []string{greedy, "", "GET /status.json HTTP/1.1\r\nHo"}[i%3]
				// The server stops reading when its responses are not read.
				if _, err := io.WriteString(c, text); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !harness.IsCut(err) {
					t.Fatal(err)
				}
			}
			harness.Await(t, 15*time.Second, "a response to another client", func() bool { return e.Says("/healthz", 200, "serving") })
			// The machine may be busy. A delay caused by the stuck clients would occur every time.
			worst, most := time.Duration(1<<62), harness.InTime(250*time.Millisecond)
			for n := 0; n < 3 && worst > most; n++ {
				worst = min(worst, worstOf(s, 100))
			}
			t.Logf("with 150 stuck clients of the endpoint, a request takes at most %v", worst)
			if worst > most {
				t.Errorf("a request took %v, want at most %v", worst, most)
			}
			if now := s.Workers(); fmt.Sprint(now) != fmt.Sprint(workers) {
				t.Errorf("workers %v were replaced by %v", workers, now)
			}
			s.Stop(7 * time.Second)
		})
	}
}

// worstOf returns the longest time of n requests on one connection.
func worstOf(s *harness.Server, n int) time.Duration {
	s.T.Helper()
	c := s.Dial()
	defer c.Close()
	worst := time.Duration(0)
	for range n {
		began := time.Now()
		s.MustAsk(c, harness.Request("GET", "/"))
		worst = max(worst, time.Since(began))
	}
	return worst
}

// TestAdminSocketSurvivesUpgrade upgrades the master while clients use the admin endpoint: it keeps its
// socket, and no connection is refused.
func TestAdminSocketSurvivesUpgrade(t *testing.T) {
	t.Parallel()
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	before, err := os.Lstat(e.Addr)
	if err != nil {
		t.Fatal(err)
	}
	started := e.Pool().Started
	quit := make(chan struct{})
	var joined sync.WaitGroup
	var asked atomic.Int64
	for range 2 {
		joined.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				reply, err := askUnix(e.Addr, "/healthz")
				asked.Add(1)
				if err != nil || !strings.HasPrefix(reply, "HTTP/1.1 200") {
					t.Errorf("/healthz: %q, error %v; want 200", reply, err)
				}
			}
		})
	}
	for n := 1; n <= 3; n++ {
		old := s.Workers()
		s.Signal(syscall.SIGUSR2)
		s.AwaitMessages(n, "master upgraded")
		s.AwaitWorkers(2, old...)
	}
	close(quit)
	joined.Wait()
	if asked.Load() < 6 {
		t.Errorf("%d requests, want at least 6", asked.Load())
	}
	if after, err := os.Lstat(e.Addr); err != nil || !os.SameFile(before, after) {
		t.Errorf("the upgrade replaced the socket file, error %v", err)
	}
	if p := e.Pool(); p.PID != s.PID() || !p.Started.Equal(started) {
		t.Errorf("pid %d, started at %v; want %d, %v", p.PID, p.Started, s.PID(), started)
	}
	e.Order("reload").Succeeds(t, "2 workers replaced")
	s.Stop(5 * time.Second)
	e.MustBeGone()
}

// askUnix makes a request, without the retries of net/http, and returns the status line.
func askUnix(path, target string) (string, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

// TestScrapesDuringUpgrade scrapes a server over new connections, as curl and `master status` do, while
// the master is upgraded: every scrape succeeds.
func TestScrapesDuringUpgrade(t *testing.T) {
	t.Parallel()
	dir := harness.Copies(t, "master", "worker")
	o := harness.Operated(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: []string{"--base", harness.Tree(t, nil), "--workers", "2"}})
	o.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
	w := o.Watch()
	for range 3 {
		old := o.Workers()
		o.Signal(syscall.SIGUSR2)
		reloaded(o, old)
	}
	w.StopScraping()
}
