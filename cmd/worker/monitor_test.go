package main

import (
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/options"
)

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		l                limits
		requests, memory int64
		want             string
	}{
		{limits{}, 1 << 40, 1 << 40, ""},
		{limits{requests: 10}, 9, 1 << 40, ""},
		{limits{requests: 10}, 10, 0, "10 requests"},
		{limits{memory: 32 << 20}, 1 << 40, 32<<20 - 1, ""},
		{limits{memory: 32 << 20}, 0, 33 << 20, "33 MiB of memory"},
	} {
		if got := c.l.exceeded(c.requests, c.memory); got != c.want {
			t.Errorf("%+v at %d requests and %d bytes: %q, want %q", c.l, c.requests, c.memory, got, c.want)
		}
	}
	for chance, want := range map[float64]int64{0: 1000, 0.5: 875, 0.999999: 751} {
		if got := jittered(1000, chance); got != want {
			t.Errorf("jittered by %v: %d, want %d", chance, got, want)
		}
	}
	if n := resident(); n < 1<<20 || n > 1<<36 {
		t.Errorf("this process takes %d bytes", n)
	}
}

// Goroutines say that they live as often as they are asked to, and ask for a
// replacement once.
func TestMonitor(t *testing.T) {
	b := newBench(t)
	var requests atomic.Uint64
	requests.Store(100)
	opts := options.WorkerOptions{Options: options.Options{
		Model: options.Goroutine, HangTimeout: options.HangTimeout(100 * time.Millisecond), MaxRequests: 100,
	}}
	w := monitor(opts, b.channel, &requests)
	alive, tired := 0, 0
	for alive < 5 {
		m, err := b.master.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case ipc.Alive:
			alive++
		case ipc.Tired:
			if tired++; m.Reason != "100 requests" {
				t.Errorf("tired after %q", m.Reason)
			}
		}
	}
	w.stop()
	if tired != 1 {
		t.Errorf("it asked %d times", tired)
	}
	b.stop()
}
