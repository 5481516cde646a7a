package http

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

const (
	hundredGB = 100 << 30
	rounds    = 3
	mostExtra = 64 << 20 // bytes of memory more than at the start
)

// TestForwardProgress downloads a file of 100 GB with up to 1,000 clients: each receives something
// every second.
func TestForwardProgress(t *testing.T) {
	harness.NeedFiles(t, 2500)
	base := harness.Tree(t, nil)
	harness.Sparse(t, base+"/huge.bin", hundredGB)
	for _, model := range harness.ParallelModels() {
		for _, clients := range []int{1, 10, 100, 1000} {
			t.Run(fmt.Sprintf("%s/%d", model, clients), func(t *testing.T) {
				s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--model", model}})
				start := harness.PSS(s.PID())
				c := newCrowd(s, clients)
				extra := 0
				for range rounds {
					extra = max(extra, c.round(s)-start)
				}
				c.stop()
				t.Logf("%d MiB of memory at the start, up to %d MiB more", start>>20, extra>>20)
				if model == "process" && extra > mostExtra {
					t.Errorf("the memory grew by %d MiB, want at most %d", extra>>20, mostExtra>>20)
				}
			})
		}
	}
}

// TestSerialProgress checks that the serial model, like the original server, serves one client until
// its download is over.
func TestSerialProgress(t *testing.T) {
	base := harness.Tree(t, nil)
	harness.Sparse(t, base+"/huge.bin", hundredGB)
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--model", "serial"}})
	first := newCrowd(s, 1)
	harness.Await(t, 5*time.Second, "the first bytes of the first client", func() bool { return first.readers[0].soFar() > 0 })
	others := newCrowd(s, 9)
	for range rounds {
		first.round(s)
	}
	for i, r := range others.readers {
		if r.soFar() != 0 {
			t.Errorf("client %d received %d bytes during the first download", i+2, r.soFar())
		}
	}
	first.stop()
	harness.Await(t, 5*time.Second, "the first bytes of another client", func() bool {
		return slices.ContainsFunc(others.readers, func(r *reader) bool { return r.soFar() > 0 })
	})
}

// crowd is a group of slow clients that download one file.
type crowd struct {
	readers []*reader
	quit    chan struct{}
	once    sync.Once
	joined  sync.WaitGroup
}

// reader is one client of a crowd.
type reader struct {
	conn *harness.Client

	mu    sync.Mutex
	total int
	err   error // why it stopped reading
}

// newCrowd starts n clients. Each reads up to 16 KiB ten times a second.
func newCrowd(s *harness.Server, n int) *crowd {
	s.T.Helper()
	c := &crowd{quit: make(chan struct{})}
	s.T.Cleanup(c.stop)
	for range n {
		conn := s.DialNarrow(16 << 10)
		s.MustSend(conn, harness.Request("GET", "/huge.bin"))
		c.readers = append(c.readers, &reader{conn: conn})
	}
	for _, r := range c.readers {
		c.joined.Go(func() { r.read(c) })
	}
	return c
}

// read reads until the crowd is stopped.
func (r *reader) read(c *crowd) {
	buf := make([]byte, 16<<10)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := r.conn.Read(buf)
		r.note(n, err)
		if err != nil {
			return
		}
		select {
		case <-c.quit:
			return
		case <-tick.C:
		}
	}
}

func (r *reader) note(n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total += n
	r.err = err
}

func (r *reader) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *reader) soFar() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// round waits until each client has received something, for at least half a second, and returns the
// largest memory use of the session meanwhile.
func (c *crowd) round(s *harness.Server) (most int) {
	s.T.Helper()
	var before []int
	for _, r := range c.readers {
		before = append(before, r.soFar())
	}
	tick := time.NewTicker(125 * time.Millisecond)
	defer tick.Stop()
	for began, starved := time.Now(), true; starved || time.Since(began) < 500*time.Millisecond; <-tick.C {
		most = max(most, harness.PSS(s.PID()))
		starved = false
		for i, r := range c.readers {
			if r.soFar() > before[i] {
				continue
			}
			if starved = true; time.Since(began) > harness.InTime(2*time.Second) {
				s.T.Errorf("client %d of %d received nothing in %v: %v", i+1, len(c.readers), time.Since(began), r.failed())
				return most
			}
		}
	}
	return most
}

// stop closes the connections and waits for the readers.
func (c *crowd) stop() {
	c.once.Do(func() { close(c.quit) })
	for _, r := range c.readers {
		r.conn.Close()
	}
	c.joined.Wait()
}
