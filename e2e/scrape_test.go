package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// scrape reads /metrics and adds the values of a metric up over its labels.
func (e *endpoint) scrape(metric string) (float64, error) {
	code, body, err := e.ask("GET", "/metrics")
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
		return 0, fmt.Errorf("GET /metrics: there is no %s", metric)
	}
	return sum, nil
}

// TestScrapes reads the counters all the time while every worker is replaced ten
// times: each scrape is answered, and no counter goes back or counts twice.
func TestScrapes(t *testing.T) {
	t.Parallel()
	const restarts, metric = 10, "phalanx_http_requests_total"
	s, e := seen(t, tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	var sent atomic.Int64
	quit := make(chan struct{})
	var joined sync.WaitGroup
	joined.Go(func() {
		c, err := connect(s.port)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
			select {
			case <-quit:
				return
			default:
			}
			if r, err := c.ask(request("GET", "/")); err != nil || r.status != 200 {
				t.Errorf("request %d: %v", sent.Load(), err)
				return
			}
			sent.Add(1)
		}
	})
	last, during := 0.0, 0
	look := func() {
		t.Helper()
		least := sent.Load()
		n, err := e.scrape(metric)
		most := sent.Load() + 1
		if err != nil {
			t.Fatal(err)
		}
		if n < last || n < float64(least) || n > float64(most) {
			t.Errorf("%s is %v after %v, want %d to %d", metric, n, last, least, most)
		}
		last = n
	}
	for range restarts {
		done := make(chan outcome)
		go func() {
			code, body, err := e.ask("POST", "/reload")
			done <- outcome{code, body, fmt.Sprint(err)}
		}()
		for waiting := true; waiting; during++ {
			look()
			select {
			case o := <-done:
				waiting = false
				if o.code != 200 {
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
		t.Errorf("%v requests were counted, %d were answered", last, sent.Load())
	}
	if n, err := e.scrape("phalanx_reloads_total"); err != nil || n != restarts {
		t.Errorf("%v reloads were counted, want %d (%v)", n, restarts, err)
	}
	t.Logf("%d scrapes during %d restarts, %d requests", during, restarts, sent.Load())
	s.stop(5 * time.Second)
}

// TestStuckScrapers has many clients of the admin endpoint that never read what
// they ask for, and many that never ask: the pool serves as before, others are
// answered, and the end comes in time.
func TestStuckScrapers(t *testing.T) {
	t.Parallel()
	for kind, addr := range map[string]string{"unix": socketPath(t), "tcp": loopback(freePort(t))} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tree(t, map[string]string{"index.html": "front"}), "--admin", addr)
			workers := s.workers()
			e := endpointAt(t, addr)
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
				// It reads no further when its replies are not taken.
				if _, err := io.WriteString(c, text); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !isCut(err) {
					t.Fatal(err)
				}
			}
			await(t, 15*time.Second, "an answer to an honest client", func() bool { return e.says("/healthz", 200, "serving") })
			worst := s.worstOf(100)
			t.Logf("with 150 stuck clients of the endpoint a request takes %v at most", worst)
			if worst > 250*time.Millisecond {
				t.Errorf("a request took %v, want 250ms at most", worst)
			}
			if now := s.workers(); fmt.Sprint(now) != fmt.Sprint(workers) {
				t.Errorf("workers %v became %v", workers, now)
			}
			s.stop(7 * time.Second)
		})
	}
}

// worstOf is the longest that one of n requests on a connection took.
func (s *server) worstOf(n int) time.Duration {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	worst := time.Duration(0)
	for range n {
		began := time.Now()
		s.mustAsk(c, request("GET", "/"))
		worst = max(worst, time.Since(began))
	}
	return worst
}

// TestAdminUpgrade replaces the master's program under clients who ask the
// endpoint all the time: it is the same socket, and nobody is refused.
func TestAdminUpgrade(t *testing.T) {
	t.Parallel()
	s, e := seen(t, tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	before, err := os.Lstat(e.addr)
	if err != nil {
		t.Fatal(err)
	}
	started := e.pool().Started
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
				reply, err := askUnix(e.addr, "/healthz")
				asked.Add(1)
				if err != nil || !strings.HasPrefix(reply, "HTTP/1.1 200") {
					t.Errorf("/healthz: %q, %v", reply, err)
				}
			}
		})
	}
	for n := 1; n <= 3; n++ {
		old := s.workers()
		s.signal(syscall.SIGUSR2)
		s.log.await(t, 10*time.Second, "upgrade", s.exited, func(all []event) bool {
			return len(withMessage(all, "upgraded")) == n
		})
		s.awaitWorkers(2, old...)
	}
	close(quit)
	joined.Wait()
	if asked.Load() < 6 {
		t.Errorf("%d requests", asked.Load())
	}
	if after, err := os.Lstat(e.addr); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket is another one: %v", err)
	}
	if p := e.pool(); p.PID != s.pid() || !p.Started.Equal(started) {
		t.Errorf("pid %d started at %v, want %d, %v", p.PID, p.Started, s.pid(), started)
	}
	e.order("reload").does(t, "2 workers replaced")
	s.stop(5 * time.Second)
	e.mustBeGone()
}

// askUnix makes a request without the repetitions of net/http and returns the
// status line.
func askUnix(path, target string) (string, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}
