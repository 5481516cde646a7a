package pool

import (
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// pool starts a model with three workers where it may have more than one.
func pool(t *testing.T, base, model string) *harness.Server {
	t.Helper()
	args := []string{"--model", model}
	if model == "process" {
		args = append(args, "--workers", "3")
	}
	s := harness.Serve(t, base, args...)
	if n := len(s.Workers()); n != harness.PoolSize(model, 3) {
		t.Fatalf("%d workers, want %d", n, harness.PoolSize(model, 3))
	}
	return s
}

// TestWorkerKilled kills a worker while clients wait in its accept queue and
// while the other workers have connections of their own.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		s.MustServe("/", "front")
		owned := map[int]*harness.Client{}
		if model != "serial" {
			owned = s.OneForEach()
		}
		victim := s.Workers()[0]
		harness.Hold(t, victim)
		// Sixty connections over three queues: one that is empty is as good
		// as impossible.
		var waiting []*harness.Client
		for range 60 {
			c := s.Dial()
			if err := c.Send(harness.Request("GET", "/", "Connection: close")); err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, c)
		}
		harness.Kill(t, victim, syscall.SIGKILL)
		for i, c := range waiting {
			if r, err := c.Reply("GET"); err != nil || r.Status != 200 || string(r.Body) != "front" {
				t.Errorf("client %d of %d in the queues: %v %v", i+1, len(waiting), r, err)
			}
		}
		for pid, c := range owned {
			if pid == victim && model != "process" {
				s.MustEnd(c, 2*time.Second, "the victim's own client")
				continue
			}
			// The victim's own is rescued.
			if r := s.MustAsk(c, harness.Request("GET", "/")); r.Status != 200 || r.Closes() {
				t.Errorf("a client of worker %d: %d, closes %v", pid, r.Status, r.Closes())
			}
		}
		s.AwaitWorkers(harness.PoolSize(model, 3), victim)
		s.MustReap()
		// Otherwise the test would show nothing.
		harness.Await(t, 2*time.Second, "a request that waited in the victim's queue", func() bool { return tookOver(s, victim) > 0 })
		s.Stop(5 * time.Second)
	})
}

// tookOver counts the requests that the victim's slot served by another
// process than the victim.
func tookOver(s *harness.Server, victim int) int {
	events, _ := s.Log.All()
	requests := harness.WithMessage(events, "request")
	slot := -1
	for _, e := range events {
		if e.Number("pid") == victim && e.Number("slot") >= 0 {
			slot = e.Number("slot")
		}
	}
	n := 0
	for _, e := range requests {
		if e.Number("slot") == slot && e.Number("pid") != victim {
			n++
		}
	}
	return n
}

// TestEveryWorkerKilled takes the whole pool away at once, twice, so that a
// slot's second death comes soon after its first.
func TestEveryWorkerKilled(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		for range 2 {
			victims := s.Workers()
			for _, pid := range victims {
				harness.Kill(t, pid, syscall.SIGKILL)
			}
			for range 10 {
				s.MustServe("/", "front")
			}
			s.AwaitWorkers(harness.PoolSize(model, 3), victims...)
		}
		s.Stop(5 * time.Second)
	})
}

// TestMasterKilled leaves the workers alone: they end their work and go.
func TestMasterKilled(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 512<<20)
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		var idle *harness.Client
		if model != "serial" {
			idle = s.Dial()
			s.MustAsk(idle, harness.Request("GET", "/"))
		}
		d := s.Begin("/big.bin", 64<<10)
		s.Signal(syscall.SIGKILL)
		s.AwaitRefusal()
		if err := d.Trickle(16<<10, 300*time.Millisecond); err != nil {
			t.Error(err)
		}
		if idle != nil {
			s.MustEnd(idle, 3*time.Second, "the idle connection")
		}
		s.MustComplete(d)
		s.MustEnd(d.Client, 2*time.Second, "the completed download")
		harness.Await(t, 3*time.Second, "the end of the workers", func() bool { return len(s.Session()) == 0 })
	})
}

// TestWorkerInterrupted drains one worker by hand; another takes its place.
func TestWorkerInterrupted(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 256<<20)
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		before := s.Workers()
		var slow []*harness.Download
		for range before {
			slow = append(slow, s.Begin("/big.bin", 64<<10))
		}
		for _, pid := range before {
			harness.Kill(t, pid, syscall.SIGINT)
		}
		// Their slots are served while they finish.
		for range 10 {
			s.MustServe("/", "front")
		}
		for _, d := range slow {
			s.MustComplete(d)
			s.MustEnd(d.Client, 3*time.Second, "the completed download of a draining worker")
		}
		for range 10 {
			s.MustServe("/", "front")
		}
		s.AwaitWorkers(harness.PoolSize(model, 3), before...)
		s.Stop(5 * time.Second)
	})
}

// TestOneWorkerInterrupted keeps the others at work, and the clients that
// wait for the interrupted one are served in the end.
func TestOneWorkerInterrupted(t *testing.T) {
	t.Parallel()
	s := pool(t, harness.Tree(t, map[string]string{"index.html": "front"}), "process")
	owned := s.OneForEach()
	victim := s.Workers()[1]
	harness.Kill(t, victim, syscall.SIGINT)
	for range 40 {
		s.MustServe("/", "front")
	}
	harness.AwaitEnd(t, 4*time.Second, victim)
	s.AwaitWorkers(3, victim)
	for pid, c := range owned {
		if pid == victim {
			s.MustEnd(c, time.Second, "the interrupted worker's own client")
			continue
		}
		s.MustAsk(c, harness.Request("GET", "/"))
	}
	s.Stop(5 * time.Second)
}
