package pool

import (
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// pool starts a model with three workers, or with one if the model has only one.
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

// TestWorkerKilled kills a worker while clients wait in its accept queue and the other workers have
// connections: all clients are served.
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
		harness.Suspend(t, victim)
		// Sixty connections to three queues: it is practically impossible that one of them is empty.
		waiting := s.DialAll(60, harness.Request("GET", "/", "Connection: close"))
		harness.Kill(t, victim, syscall.SIGKILL)
		s.MustReply(waiting, "front")
		for pid, c := range owned {
			if pid == victim && model != "process" {
				s.MustEnd(c, 2*time.Second, "the victim's own client")
				continue
			}
			// The victim's own client is rescued.
			s.MustPersist(c)
		}
		s.AwaitWorkers(harness.PoolSize(model, 3), victim)
		s.MustReap()
		// Or the test would not have tested the accept queue.
		harness.Await(t, 2*time.Second, "a request from the victim's accept queue", func() bool { return tookOver(s, victim) > 0 })
		s.Stop(5 * time.Second)
	})
}

// tookOver counts the requests that the victim's slot served after the victim.
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

// TestEveryWorkerKilled kills all workers at once, twice, so that each slot's second death comes soon after
// its first: all clients are served.
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

// TestMasterKilled kills the master: the workers finish what is under way and exit.
func TestMasterKilled(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
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
		harness.Await(t, 3*time.Second, "the exit of the workers", func() bool { return len(s.Session()) == 0 })
	})
}

// TestWorkerInterrupted sends SIGINT to every worker: they drain, and their slots are served by new workers.
func TestWorkerInterrupted(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
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
		// Their slots are served while they drain.
		for range 10 {
			s.MustServe("/", "front")
		}
		for _, d := range slow {
			s.MustComplete(d)
			s.MustEnd(d.Client, 3*time.Second, "the connection of a completed download from a draining worker")
		}
		for range 10 {
			s.MustServe("/", "front")
		}
		s.AwaitWorkers(harness.PoolSize(model, 3), before...)
		s.Stop(5 * time.Second)
	})
}

// TestOneWorkerInterrupted sends SIGINT to one worker: it drains, the others continue, and clients in its
// accept queue are served.
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
			s.MustEnd(c, time.Second, "the client of the interrupted worker")
			continue
		}
		s.MustAsk(c, harness.Request("GET", "/"))
	}
	s.Stop(5 * time.Second)
}
