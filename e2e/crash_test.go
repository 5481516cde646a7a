package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// awaitWorkers waits until the pool has n workers and none of them is gone,
// and returns them.
func (s *server) awaitWorkers(n int, gone ...int) []int {
	s.t.Helper()
	var pids []int
	await(s.t, 5*time.Second, fmt.Sprintf("%d workers without %v", n, gone), func() bool {
		pids = s.workers()
		return len(pids) == n && !slices.ContainsFunc(pids, func(pid int) bool { return slices.Contains(gone, pid) })
	})
	return pids
}

// poolSize is how many workers a model has when told to have three.
func poolSize(model string) int {
	if model == "process" {
		return 3
	}
	return 1
}

// pool starts a model with three workers where it may have more than one.
func pool(t *testing.T, base, model string) *server {
	t.Helper()
	args := []string{"--model", model}
	if model == "process" {
		args = append(args, "--workers", "3")
	}
	s := serve(t, base, args...)
	if n := len(s.workers()); n != poolSize(model) {
		t.Fatalf("%d workers, want %d", n, poolSize(model))
	}
	return s
}

// TestWorkerKilled kills a worker while clients wait in its accept queue and
// while the other workers have connections of their own.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		s.mustServe("/", "front")
		owned := map[int]*client{}
		if model != "serial" {
			owned = s.oneForEach()
		}
		victim := s.workers()[0]
		hold(t, victim)
		// Sixty connections over three queues: one that is empty is as good
		// as impossible.
		var waiting []*client
		for range 60 {
			c := s.dial()
			if err := c.send(request("GET", "/", "Connection: close")); err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, c)
		}
		kill(t, victim, syscall.SIGKILL)
		for i, c := range waiting {
			if r, err := c.reply("GET"); err != nil || r.status != 200 || string(r.body) != "front" {
				t.Errorf("client %d of %d in the queues: %v %v", i+1, len(waiting), r, err)
			}
		}
		for pid, c := range owned {
			if pid == victim {
				s.mustEnd(c, 2*time.Second, "the victim's own client")
				continue
			}
			if r := s.mustAsk(c, request("GET", "/")); r.status != 200 || r.closes() {
				t.Errorf("a client of worker %d: %d, closes %v", pid, r.status, r.closes())
			}
		}
		s.awaitWorkers(poolSize(model), victim)
		if dead := zombiesOf(s.pid()); len(dead) > 0 {
			t.Errorf("not reaped: %v", dead)
		}
		// Otherwise the test would show nothing.
		await(t, 2*time.Second, "a request that waited in the victim's queue", func() bool { return s.tookOver(victim) > 0 })
		s.stop(5 * time.Second)
	})
}

// oneForEach opens connections until each worker has one, and returns them by
// the worker's pid.
func (s *server) oneForEach() map[int]*client {
	s.t.Helper()
	owned := map[int]*client{}
	for range 200 {
		c := s.dial()
		s.mustAsk(c, request("GET", "/"))
		owned[s.awaitRequestOf(c).number("pid")] = c
		if len(owned) == len(s.workers()) {
			return owned
		}
	}
	s.t.Fatalf("200 connections went to %d workers only", len(owned))
	return nil
}

// tookOver counts the requests that the victim's slot served by another
// process than the victim.
func (s *server) tookOver(victim int) int {
	events, _ := s.log.all()
	requests := withMessage(events, "request")
	slot := -1
	for _, e := range events {
		if e.number("pid") == victim && e.number("slot") >= 0 {
			slot = e.number("slot")
		}
	}
	n := 0
	for _, e := range requests {
		if e.number("slot") == slot && e.number("pid") != victim {
			n++
		}
	}
	return n
}

// TestEveryWorkerKilled takes the whole pool away at once, twice, so that a
// slot's second death comes soon after its first.
func TestEveryWorkerKilled(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		for range 2 {
			victims := s.workers()
			for _, pid := range victims {
				kill(t, pid, syscall.SIGKILL)
			}
			for range 10 {
				s.mustServe("/", "front")
			}
			s.awaitWorkers(poolSize(model), victims...)
		}
		s.stop(5 * time.Second)
	})
}

// TestMasterKilled leaves the workers alone: they end their work and go.
func TestMasterKilled(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, base+"/big.bin", 512<<20)
	each(t, models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		var idle *client
		if model != "serial" {
			idle = s.dial()
			s.mustAsk(idle, request("GET", "/"))
		}
		d := s.begin("/big.bin", 64<<10)
		s.signal(syscall.SIGKILL)
		s.awaitRefusal()
		if err := d.trickle(16<<10, 300*time.Millisecond); err != nil {
			t.Error(err)
		}
		if idle != nil {
			s.mustEnd(idle, 3*time.Second, "the idle connection")
		}
		s.mustComplete(d)
		s.mustEnd(d.client, 2*time.Second, "the completed download")
		await(t, 3*time.Second, "the end of the workers", func() bool { return len(s.session()) == 0 })
	})
}

// TestWorkerInterrupted drains one worker by hand; another takes its place.
func TestWorkerInterrupted(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, base+"/big.bin", 256<<20)
	each(t, models(), func(t *testing.T, model string) {
		s := pool(t, base, model)
		before := s.workers()
		var slow []*download
		for range before {
			slow = append(slow, s.begin("/big.bin", 64<<10))
		}
		for _, pid := range before {
			kill(t, pid, syscall.SIGINT)
		}
		// Their slots are served while they finish.
		for range 10 {
			s.mustServe("/", "front")
		}
		for _, d := range slow {
			s.mustComplete(d)
			s.mustEnd(d.client, 3*time.Second, "the completed download of a draining worker")
		}
		for range 10 {
			s.mustServe("/", "front")
		}
		s.awaitWorkers(poolSize(model), before...)
		s.stop(5 * time.Second)
	})
}

// TestOneWorkerInterrupted keeps the others at work, and the clients that
// wait for the interrupted one are served in the end.
func TestOneWorkerInterrupted(t *testing.T) {
	t.Parallel()
	s := pool(t, tree(t, map[string]string{"index.html": "front"}), "process")
	owned := s.oneForEach()
	victim := s.workers()[1]
	kill(t, victim, syscall.SIGINT)
	for range 40 {
		s.mustServe("/", "front")
	}
	awaitEnd(t, 4*time.Second, victim)
	s.awaitWorkers(3, victim)
	for pid, c := range owned {
		if pid == victim {
			s.mustEnd(c, time.Second, "the interrupted worker's own client")
			continue
		}
		s.mustAsk(c, request("GET", "/"))
	}
	s.stop(5 * time.Second)
}
