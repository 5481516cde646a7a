package supervise

import (
	"syscall"
	"testing"

	"phalanx/internal/ipc"
)

// A worker that has taken over the connections of a dead one is killed before it serves:
// what became of them is reported, once.
func TestKilledWhenTakenOver(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.begin(0)
		kept := r.procs[0].kept.(*fakeKept)
		kept.left, kept.deaf = 2, true
		r.die(0, killed)
		r.begin(1)
		r.say(ipc.Rescued{Connections: 3}, 1)
		kept.deaf = false
		r.die(1, killed)
		r.started(2)
		r.begin(2)
		r.say(ipc.Rescued{Connections: 3}, 2)
		r.expect(3, "serving",
			"worker 0 (pid 101) died: killed by SIGKILL; worker 0 (pid 102) rescued 3 connections after 0s; 2 closed that cannot be rescued",
			"worker 0 (pid 102) died: killed by SIGKILL; respawning in 100ms",
			"worker 0 (pid 103) rescued 3 connections of worker 0 (pid 102) after 100ms")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}
