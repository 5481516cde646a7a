package http2

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestReload replaces the workers again and again while HTTP/2 clients send requests: none fails,
// because GOAWAY tells each client in time, and a download is completed by the worker that began
// it.
func TestReload(t *testing.T) {
	t.Parallel()
	base, big := website(t, 24<<20)
	for _, args := range [][]string{{"--workers", "2"}, {"--model", "goroutine"}} {
		ways(t, base, func(t *testing.T, s *harness.Server, way string) {
			slow := newClient(t, 2)
			r, err := slow.Get(s.URL("/big.bin"))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			var done atomic.Bool
			var visitors sync.WaitGroup
			var asked atomic.Int64
			for i := range 4 {
				c := newClient(t, 2)
				visitors.Go(func() {
					for n := 0; !done.Load(); n++ {
						r, body, err := c.get(s.URL(fmt.Sprintf("/a.txt?%d-%d", i, n)))
						if err != nil || r.StatusCode != 200 || string(body) != "0123456789" || r.ProtoMajor != 2 {
							t.Errorf("a request failed: %v", err)
							return
						}
						asked.Add(1)
					}
				})
			}
			first := s.Workers()
			for range 3 {
				old, before := s.Workers(), asked.Load()
				s.Signal(syscall.SIGHUP)
				harness.Await(t, 20*time.Second, "a new worker in each slot", func() bool { return len(without(s.Workers(), old)) == len(without(first, nil)) })
				harness.Await(t, 20*time.Second, "100 more requests", func() bool { return asked.Load() > before+100 })
			}
			done.Store(true)
			visitors.Wait()
			body, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(body, big) {
				t.Errorf("the download has %d bytes, error %v; want the %d bytes of the file", len(body), err, len(big))
			}
			s.AwaitWorkers(len(first), first...)
			s.Stop(10 * time.Second)
		}, args...)
	}
}

// without returns the pids that are not among others.
func without(all, others []int) (left []int) {
	for _, pid := range all {
		if !slices.Contains(others, pid) {
			left = append(left, pid)
		}
	}
	return left
}

// TestStop stops the server during a download: it is completed, idle connections are closed, and
// the server exits.
func TestStop(t *testing.T) {
	t.Parallel()
	base, big := website(t, 24<<20)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		ways(t, base, func(t *testing.T, s *harness.Server, way string) {
			c, idle := newClient(t, 2), newClient(t, 2)
			if _, _, err := idle.get(s.URL("/a.txt")); err != nil {
				t.Fatal(err)
			}
			r, err := c.Get(s.URL("/big.bin"))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			s.Interrupt()
			s.AwaitRefusal()
			body, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(body, big) {
				t.Errorf("the download has %d bytes, error %v; want the %d bytes of the file", len(body), err, len(big))
			}
			s.MustExit(10 * time.Second)
		}, "--model", model)
	})
}
