package supervise

import (
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// deaths checks how many deaths the view of a pool has for slot 0.
func (r *rig) deaths(d *Controller, want int) {
	r.t.Helper()
	if _, v := r.look(d); v.Totals[0].Deaths != want {
		r.t.Errorf("%d deaths were counted, want %d", v.Totals[0].Deaths, want)
	}
}

// A worker that a stop interrupts before it is ready is no death.
func TestStoppedBeforeReadyIsNoDeath(t *testing.T) {
	r := &rig{tweak: busy}
	_, d := r.controller(nil)
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGTERM)
		r.signalled(1, syscall.SIGINT)
		r.die(1, Exit{Signal: syscall.SIGINT})
		r.deaths(*d, 0)
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// Nor is a worker whose drain takes longer than the operator allows. A hung one is.
func TestDrainTimeoutIsNoDeath(t *testing.T) {
	r := &rig{tweak: busy}
	_, d := r.controller(func(c *Config) { c.DrainTimeout, c.HangTimeout = time.Minute, 40*time.Second })
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.hello(1)
		r.pass(30 * time.Second)
		r.send(ipc.Alive{}, 0, 1)
		r.pass(30 * time.Second)
		r.expect(2, "serving", "worker 0 (pid 101) died while draining: drain timed out after 1m0s, killed; it was at; row 0; its responses were truncated")
		r.deaths(*d, 0)
		r.send(ipc.Alive{}, 1)
		r.signal(syscall.SIGHUP)
		r.hello(2)
		r.pass(30 * time.Second)
		r.send(ipc.Alive{}, 2)
		r.pass(10 * time.Second)
		r.signalled(1, syscall.SIGKILL)
		r.deaths(*d, 1)
		r.stop()
	})
}
