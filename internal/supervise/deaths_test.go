package supervise

import (
	"syscall"
	"testing"
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
