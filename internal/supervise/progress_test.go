package supervise

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// A drain that takes longer than a second reports what remains, and the rate at which it
// decreases.
func TestDrainProgress(t *testing.T) {
	var told [][]Progress
	r := &rig{tweak: busy, change: func(c *Config) {
		c.OnProgress = func(all []Progress) bool { told = append(told, all); return true }
	}}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGINT)
		r.send(ipc.Remaining{Connections: 3, Bytes: 5000}, 0)
		r.send(ipc.Remaining{Connections: 1}, 1)
		r.pass(progressEvery - time.Millisecond)
		if len(told) > 0 {
			t.Error("progress was reported within the first second")
		}
		r.die(1, Exit{})
		r.pass(time.Millisecond)
		r.send(ipc.Remaining{Connections: 2, Bytes: 4000}, 0)
		r.pass(progressEvery)
		want := [][]Progress{
			{{Slot: 0, PID: 101, Connections: 3, Bytes: 5000}},
			{{Slot: 0, PID: 101, Connections: 2, Bytes: 4000, Rate: 1000, Left: 4 * time.Second}},
		}
		if !slices.EqualFunc(told, want, slices.Equal) {
			t.Errorf("reported %+v\nwant %+v", told, want)
		}
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// A drain that ends at once reports no progress.
func TestShortDrainReportsNoProgress(t *testing.T) {
	r := &rig{change: func(c *Config) {
		c.OnProgress = func([]Progress) bool { t.Error("progress was reported"); return true }
	}}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// Progress that OnProgress does not show is logged, one line for all workers, at growing
// intervals.
func TestDrainProgressIsLogged(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy}, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGINT)
		r.send(ipc.Remaining{Connections: 3, Bytes: 5000}, 0)
		r.send(ipc.Remaining{Connections: 1}, 1)
		for range 600 {
			r.pass(time.Second)
		}
		line := `{"level":"info","workers":2,"connections":4,"bytes":5000,"bytes_per_second":0,"message":"drain in progress"}`
		r.logged(line)
		// After 1, 2, 4, 8, 16, 32 and 64 seconds, and then each minute.
		if n := strings.Count(r.log.String(), line); n < 15 || n > 16 {
			t.Errorf("%d lines in ten minutes, want 15 or 16", n)
		}
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.ends(0, "")
	})
}
