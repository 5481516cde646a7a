package e2e

import (
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestCrowded has ten thousand connections on one worker and asks for the list of
// them, as JSON and on the screen of top: both answer at once, and the worker's
// serving is not held up. It measures times, so it runs by itself.
func TestCrowded(t *testing.T) {
	const downloads = 100
	many, limit := crowdSize(t)
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, filepath.Join(base, "huge"), 1<<30)
	path := socketPath(t)
	s := serveAs(t, plan{
		before: []string{"sh", "-c", `ulimit -n ` + itoa(limit) + `; exec "$0" "$@"`},
		args:   []string{"--base", base, "--bind", "127.0.0.1", "--port", "0", "-v", "--log-format", "json", "--workers", "1", "--keepalive", "10m", "--admin", path},
	})
	e := endpointAt(t, path)
	defer s.gather(many-downloads, "/")()
	leave := s.gather(downloads, "/huge")
	defer leave()
	pid := s.workers()[0]
	quietly := s.worstOf(300)

	// The machine may be busy otherwise: what the list itself holds up, it holds
	// up each time.
	best := time.Duration(1 << 62)
	for range 3 {
		worst, list := make(chan time.Duration, 1), time.Duration(0)
		go func() { worst <- s.worstWhile(&list, e, pid, many, downloads) }()
		held := <-worst
		t.Logf("%d connections listed in %v; a request meanwhile takes %v at most, and %v without", many, list, held, quietly)
		best = min(best, held)
	}
	if best > 250*time.Millisecond {
		t.Errorf("while the connections are listed a request takes %v, want 250ms at most", best)
	}
	s.scrolls(e, many)
	leave()
	s.stop(15 * time.Second)
}

// crowdSize is ten thousand, or what this machine allows to a process: the worker
// keeps a descriptor for the file that each of its clients may ask for.
func crowdSize(t *testing.T) (connections, limit int) {
	t.Helper()
	const wanted, others = 10_000, 100
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err != nil {
		t.Fatal(err)
	}
	limit = 2 * (wanted + others)
	if most.Max < uint64(limit) {
		limit = int(most.Max)
		t.Logf("the hard limit of open files is %d, so there are %d connections only", limit, limit/2-others)
	}
	allowFiles(t, uint64(limit))
	return limit/2 - others, limit
}

// gather opens connections which stay, each with the head of a reply to it, until
// they leave.
func (s *server) gather(n int, path string) (leave func()) {
	s.t.Helper()
	all := make(chan *client, n) // all there will be
	var joined sync.WaitGroup
	for i := range 8 {
		joined.Go(func() {
			for range (n + 7 - i) / 8 {
				c, err := connectNarrow(s.port, 4096)
				if err != nil {
					s.t.Error(err)
					return
				}
				all <- c
				if err := c.send(request("GET", path)); err != nil {
					s.t.Error(err)
					return
				}
				if _, err := c.in.Peek(12); err != nil {
					s.t.Error(err)
					return
				}
			}
		})
	}
	joined.Wait()
	close(all)
	if s.t.Failed() {
		s.t.FailNow()
	}
	return func() {
		for c := range all {
			c.Close()
		}
	}
}

// worstWhile asks for the list and, until it is there, for pages.
func (s *server) worstWhile(list *time.Duration, e *endpoint, pid, many, downloads int) time.Duration {
	done := make(chan struct{})
	go func() {
		defer close(done)
		connections, took := e.connections(0, pid)
		*list = took
		sending := 0
		for _, c := range connections.Connections {
			if c.State == "sending" && c.Size == 1<<30 && c.Line == "GET /huge" {
				sending++
			}
		}
		if connections.Total < many || len(connections.Connections) != connections.Total || sending != downloads {
			s.t.Errorf("%d connections of %d are listed, %d of them downloads; want %d, %d", len(connections.Connections), connections.Total, sending, many, downloads)
		}
	}()
	worst := time.Duration(0)
	for {
		worst = max(worst, s.worstOf(1))
		select {
		case <-done:
			return worst
		default:
		}
	}
}

// scrolls goes through the list on the screen.
func (s *server) scrolls(e *endpoint, many int) {
	s.t.Helper()
	p := openPane(s.t, 100, 30)
	p.watch(e)
	began := time.Now()
	p.press("Enter")
	p.await("the list", func(screen string) bool {
		return strings.Contains(screen, grouped(many)+" connections") && strings.Contains(screen, "CLIENT")
	})
	opened := time.Since(began)
	slowest := time.Duration(0)
	for _, key := range []struct{ name, shows string }{{"End", "idle for"}, {"Home", "sending for"}, {"s", "by age"}, {"s", "by client"}, {"r", "▲CLIENT"}, {"?", "↑↓ scroll"}, {"?", "▲CLIENT"}} {
		began := time.Now()
		p.press(key.name)
		p.awaitText(key.shows)
		slowest = max(slowest, time.Since(began))
	}
	s.t.Logf("top opens the list of %d connections in %v; the slowest key takes %v", many, opened, slowest)
	if opened > 2*time.Second || slowest > time.Second {
		s.t.Errorf("the list opens in %v, want 2s at most, and the slowest key takes %v, want 1s", opened, slowest)
	}
	p.press("q")
	p.awaitText("top ended with 0")
}

// grouped writes a number with a comma for each thousand.
func grouped(n int) string {
	if n < 1000 {
		return itoa(n)
	}
	return grouped(n/1000) + "," + itoa(1000 + n%1000)[1:]
}
