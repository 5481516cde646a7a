package supervise

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Only a recent OOM kill explains the death of a worker, and each explains one: the kernel counts those
// of the whole machine.
func TestOOMKillsExplainDeaths(t *testing.T) {
	var kills atomic.Int64
	runRig(t, 5, &rig{change: func(c *Config) { c.OOMKills = func() int { return int(kills.Load()) } }}, func(r *rig) {
		r.hello(0, 1, 2, 3, 4)
		check := func(worker int, want bool) {
			t.Helper()
			r.die(worker, Exit{Signal: syscall.SIGKILL})
			line := r.reported[len(r.reported)-1]
			if got := strings.Contains(line, "OOM"); got != want {
				t.Errorf("the OOM killer is named: %v, want %v: %s", got, want, line)
			}
			r.hello(len(r.procs) - 1)
		}
		kills.Add(1) // another program of the machine
		r.pass(3 * oomEvery)
		check(0, false)
		kills.Add(3)
		r.pass(oomEvery - time.Millisecond) // the workers exit late
		check(1, true)
		check(2, true)
		r.pass(2 * time.Millisecond)
		check(3, true)
		check(4, false)
		known := kills.Swap(0) // it could not be read
		r.pass(oomEvery)
		kills.Store(known)
		r.pass(oomEvery)
		check(5, false)
		r.stop()
	})
}
