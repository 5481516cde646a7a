package control

import (
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		l                Limits
		requests, memory int64
		want             string
	}{
		{Limits{}, 1 << 40, 1 << 40, ""},
		{Limits{Requests: 10}, 9, 1 << 40, ""},
		{Limits{Requests: 10}, 10, 0, "10 requests"},
		{Limits{Memory: 32 << 20}, 1 << 40, 32<<20 - 1, ""},
		{Limits{Memory: 32 << 20}, 0, 33 << 20, "34.6 MB of memory"},
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
	own := openMemory()
	defer own.Close()
	if n := resident(own); n < 1<<20 || n > 1<<36 {
		t.Errorf("this process takes %d bytes", n)
	}
	if n := resident(nil); n != 0 {
		t.Errorf("%d bytes without /proc", n)
	}
}

// The watcher sends heartbeats as often as configured, and requests a replacement once.
func TestWatch(t *testing.T) {
	b := newBench(t)
	var requests atomic.Uint64
	requests.Store(100)
	w := Watch(b.channel, BeatEvery(100*time.Millisecond), Limits{Requests: 100}, requests.Load)
	alive, requested := 0, 0
	for alive < 5 || requested < 1 {
		m, err := b.master.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case ipc.Alive:
			alive++
		case ipc.Recycle:
			if requested++; m.Reason != "100 requests" {
				t.Errorf("a replacement requested after %q", m.Reason)
			}
		}
	}
	w.Stop()
	if requested != 1 {
		t.Errorf("%d replacements requested, want 1", requested)
	}
	b.stop()
}
