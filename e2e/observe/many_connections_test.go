package observe

import (
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestTenThousandConnections has ten thousand connections on one worker and asks for the list of
// them, as JSON and on the screen of top: both answer at once, and the worker's
// serving is not held up. It measures times, so it runs by itself.
func TestTenThousandConnections(t *testing.T) {
	const downloads = 100
	many, limit := crowdSize(t)
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 1<<30)
	path := harness.SocketPath(t)
	s := harness.ServeAs(t, harness.Plan{
		Before: []string{"sh", "-c", `ulimit -n ` + strconv.Itoa(limit) + `; exec "$0" "$@"`},
		Args:   []string{"--base", base, "--bind", "127.0.0.1", "--port", "0", "-v", "--log-format", "json", "--workers", "1", "--keepalive", "10m", "--admin", path},
	})
	e := harness.EndpointAt(t, path)
	defer gather(s, many-downloads, "/")()
	leave := gather(s, downloads, "/huge")
	defer leave()
	pid := s.Workers()[0]
	quietly := worstOf(s, 300)

	// The machine may be busy otherwise: what the list itself holds up, it holds
	// up each time.
	best := time.Duration(1 << 62)
	for range 3 {
		worst, list := make(chan time.Duration, 1), time.Duration(0)
		go func() { worst <- worstWhile(s, &list, e, pid, many, downloads) }()
		held := <-worst
		t.Logf("%d connections listed in %v; a request meanwhile takes %v at most, and %v without", many, list, held, quietly)
		best = min(best, held)
	}
	if best > harness.InTime(250*time.Millisecond) {
		t.Errorf("while the connections are listed a request takes %v, want %v at most", best, harness.InTime(250*time.Millisecond))
	}
	scrolls(s, e, many)
	leave()
	s.Stop(15 * time.Second)
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
	harness.NeedFiles(t, uint64(limit))
	return limit/2 - others, limit
}

// gather opens connections which stay, each with the head of a reply to it, until
// they leave.
func gather(s *harness.Server, n int, path string) (leave func()) {
	s.T.Helper()
	all := make(chan *harness.Client, n) // all there will be
	var joined sync.WaitGroup
	for i := range 8 {
		joined.Go(func() {
			for range (n + 7 - i) / 8 {
				c, err := harness.ConnectNarrow(s.Port, 4096)
				if err != nil {
					s.T.Error(err)
					return
				}
				all <- c
				if err := c.Send(harness.Request("GET", path)); err != nil {
					s.T.Error(err)
					return
				}
				if _, err := c.In.Peek(12); err != nil {
					s.T.Error(err)
					return
				}
			}
		})
	}
	joined.Wait()
	close(all)
	if s.T.Failed() {
		s.T.FailNow()
	}
	return func() {
		for c := range all {
			c.Close()
		}
	}
}

// worstWhile asks for the list and, until it is there, for pages.
func worstWhile(s *harness.Server, list *time.Duration, e *harness.Endpoint, pid, many, downloads int) time.Duration {
	done := make(chan struct{})
	go func() {
		defer close(done)
		connections, took := e.Connections(0, pid)
		*list = took
		sending := 0
		for _, c := range connections.Connections {
			if c.State == "sending" && c.Size == 1<<30 && c.Line == "GET /huge" {
				sending++
			}
		}
		if connections.Total < many || len(connections.Connections) != connections.Total || sending != downloads {
			s.T.Errorf("%d connections of %d are listed, %d of them downloads; want %d, %d", len(connections.Connections), connections.Total, sending, many, downloads)
		}
	}()
	worst := time.Duration(0)
	for {
		worst = max(worst, worstOf(s, 1))
		select {
		case <-done:
			return worst
		default:
		}
	}
}

// scrolls goes through the list on the screen.
func scrolls(s *harness.Server, e *harness.Endpoint, many int) {
	s.T.Helper()
	p := openPane(s.T, 100, 30)
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
	s.T.Logf("top opens the list of %d connections in %v; the slowest key takes %v", many, opened, slowest)
	if opened > harness.InTime(2*time.Second) || slowest > harness.InTime(time.Second) {
		s.T.Errorf("the list opens in %v and the slowest key takes %v: too long", opened, slowest)
	}
	p.press("q")
	p.awaitText("top ended with 0")
}

// grouped writes a number with a comma for each thousand.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return grouped(n/1000) + "," + strconv.Itoa(1000 + n%1000)[1:]
}
