package supervise

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// A drain that takes longer than a second says what it waits for, with the rate
// at which that becomes less.
func TestRemains(t *testing.T) {
	var told [][]Progress
	r := &rig{tweak: stubborn, change: func(c *Config) {
		c.OnProgress = func(all []Progress) bool { told = append(told, all); return true }
	}}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGINT)
		r.say(ipc.Remaining{Connections: 3, Bytes: 5000}, 0)
		r.say(ipc.Remaining{Connections: 1}, 1)
		r.pass(progressEvery - time.Millisecond)
		if len(told) > 0 {
			t.Error("told within the first second")
		}
		r.die(1, Exit{})
		r.pass(time.Millisecond)
		r.say(ipc.Remaining{Connections: 2, Bytes: 4000}, 0)
		r.pass(progressEvery)
		want := [][]Progress{
			{{Slot: 0, PID: 101, Connections: 3, Bytes: 5000}},
			{{Slot: 0, PID: 101, Connections: 2, Bytes: 4000, Rate: 1000, Left: 4 * time.Second}},
		}
		if !slices.EqualFunc(told, want, slices.Equal) {
			t.Errorf("told %+v\nwant %+v", told, want)
		}
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// A drain that is over at once says nothing.
func TestNothingRemains(t *testing.T) {
	r := &rig{change: func(c *Config) { c.OnProgress = func([]Progress) bool { t.Error("told"); return true } }}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// What nobody shows is logged, for all workers in one line, and ever more seldom.
func TestRemainsAreLogged(t *testing.T) {
	r := &rig{tweak: stubborn}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGINT)
		r.say(ipc.Remaining{Connections: 3, Bytes: 5000}, 0)
		r.say(ipc.Remaining{Connections: 1}, 1)
		for range 600 {
			r.pass(time.Second)
		}
		line := `{"level":"info","workers":2,"connections":4,"bytes":5000,"bytes_per_second":0,"message":"drain in progress"}`
		r.logged(line)
		// After 1, 2, 4, 8, 16, 32 and 64 seconds, and then each minute.
		if n := strings.Count(r.log.String(), line); n < 15 || n > 16 {
			t.Errorf("%d lines in ten minutes", n)
		}
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.ends(0, "")
	})
}
