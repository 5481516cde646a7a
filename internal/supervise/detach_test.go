package supervise

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"phalanx/internal/ipc"
)

func busy(f *fake) { f.busy = true }

// A worker that drains because an operator sent it SIGINT is replaced at once, and keeps
// running until it has drained.
func TestWorkerDrainedByHand(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(0, 1)
		r.send(ipc.Draining{}, 1)
		r.expect(3, "serving")
		r.told(2)
		r.hello(2)
		r.told(2, ipc.Serve{})
		r.send(ipc.Draining{}, 2) // another generation
		r.send(ipc.Draining{}, 1) // again
		r.expect(4, "serving")
		if r.slots[2] != 1 || r.slots[3] != 1 {
			t.Errorf("workers were started in slots %v, want the last two in slot 1", r.slots)
		}
		r.hello(3)
		r.procs[1].gone <- io.EOF
		r.pass(closedTime)
		r.signalled(1)
		r.die(2, Exit{})
		r.expect(4, "serving")
		r.signal(syscall.SIGINT)
		r.ends(0, "")
		r.expect(4, "serving", "drain")
		for _, i := range []int{0, 1, 3} {
			r.signalled(i, syscall.SIGINT)
		}
		r.logged(`{"level":"info","slot":1,"pid":102,"message":"worker draining"}`,
			`{"level":"info","slot":1,"pid":103,"cause":"exit status 0","uptime_ms":5000,"message":"worker exited"}`)
	})
}

// A worker that is drained by hand does not count as a death, however often it happens:
// the next death is the first.
func TestDrainByHandIsNoDeath(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		for i := range 20 {
			r.send(ipc.Draining{}, i)
			r.hello(i + 1)
			r.die(i, Exit{})
		}
		r.die(20, Exit{Code: 1})
		r.expect(22, "serving", "worker 0 (pid 121) died: exit status 1; respawning")
		r.stopBefore(21)
		r.ends(0, "")
	})
}

// If the successor of a draining worker is replaced, the worker gets the next one: its successor could
// not exit before it.
func TestSuccessorDrains(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		for i := range 3 {
			if i > 0 {
				r.send(ipc.Recycle{Reason: "test"}, i-1)
			}
			r.movable(i)
			r.hello(i)
		}
		r.told(0, ipc.Serve{}, ipc.Drain{}, ipc.Drain{})
		r.told(1, ipc.Serve{}, ipc.TakeOver{}, ipc.Drain{})
		r.told(2, ipc.Serve{}, ipc.TakeOver{}, ipc.TakeOver{})
		r.die(1, Exit{})
		r.told(0, ipc.Serve{}, ipc.Drain{}, ipc.Drain{})
		r.die(0, Exit{})
		r.stop()
	})
}

// detaching runs a pool of one slot whose first worker drains, while the second serves.
func detaching(t *testing.T, test func(*rig)) {
	t.Helper()
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		r.hello(0)
		r.send(ipc.Draining{}, 0)
		r.hello(1)
		test(r)
	})
}

// A graceful stop waits for a detached worker.
func TestStopWaitsForDetachedWorker(t *testing.T) {
	detaching(t, func(r *rig) {
		r.signal(syscall.SIGINT)
		r.signalled(0, syscall.SIGINT)
		r.signalled(1, syscall.SIGINT)
		r.die(1, Exit{})
		r.pass(startTime)
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// A forced stop kills a detached worker too.
func TestDetachedWorkerIsForced(t *testing.T) {
	detaching(t, func(r *rig) {
		r.signal(syscall.SIGINT)
		r.signal(syscall.SIGINT)
		r.ends(130, "stopped immediately: requests under way were aborted")
		r.signalled(0, syscall.SIGINT, syscall.SIGKILL)
		r.signalled(1, syscall.SIGINT, syscall.SIGKILL)
	})
}

// The death of a detached worker is reported, but starts no other: its slot has one.
func TestDetachedWorkerDies(t *testing.T) {
	detaching(t, func(r *rig) {
		const cut = "worker 0 (pid 101) died while draining: killed by SIGKILL; its responses were truncated"
		r.die(0, Exit{Signal: syscall.SIGKILL})
		r.expect(2, "serving", cut)
		r.send(ipc.Draining{}, 1)
		r.hello(2)
		r.signal(syscall.SIGINT)
		r.die(1, Exit{Code: 1})
		r.die(2, Exit{Code: 1})
		r.ends(1, "worker 0 (pid 102) died while draining: exit status 1; its responses were truncated (and 1 more)")
		r.expect(3, "serving", cut, "drain")
	})
}

// While the pool stops, a worker that reports that it drains is not replaced.
func TestDrainingDuringStop(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGINT)
		r.send(ipc.Draining{}, 0, 1)
		r.hello(1)
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.ends(0, "")
		r.expect(2, "drain")
		r.signalled(0, syscall.SIGINT)
		r.signalled(1, syscall.SIGINT, syscall.SIGINT) // again when it was ready
	})
}

// A worker that is drained by hand while the pool starts is replaced before the pool
// serves.
func TestDrainByHandWhileStarting(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(0)
		r.send(ipc.Draining{}, 0)
		r.hello(1)
		r.die(0, Exit{})
		r.expect(3)
		r.hello(2)
		r.expect(3, "serving")
		r.told(0)
		r.told(2, ipc.Serve{})
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// Only a worker that was ready is replaced when it drains: otherwise a faulty worker could
// have processes started without end.
func TestDrainingBeforeReady(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		r.die(0, Exit{Code: 1})
		r.send(ipc.Draining{}, 1)
		r.expect(2, "serving", "worker 0 (pid 101) died: exit status 1; respawning")
		r.hello(1)
		r.expect(3, r.reported...)
		r.send(ipc.Draining{}, 2)
		r.pass(startTime)
		r.signalled(1)
		r.signalled(2, syscall.SIGKILL)
		r.pass(firstDelay)
		r.stopBefore(3)
		r.ends(0, "")
	})
}

// A worker that the master has decided to kill is not replaced because it reports that it
// drains.
func TestDrainingTooLate(t *testing.T) {
	runRig(t, 1, &rig{tweak: func(f *fake) { f.stuck = f.pid == 101 }}, func(r *rig) {
		r.hello(0)
		r.send(ipc.Serve{}, 0)
		r.send(ipc.Draining{}, 0)
		r.expect(1, "serving")
		r.die(0, Exit{Signal: syscall.SIGKILL})
		r.expect(2, "serving", "worker 0 (pid 101) died: sent a ipc.Serve, killed; respawning")
		r.stopBefore(1)
		r.ends(0, "")
	})
}

// Orphans are reaped when a child of the master ends, the workers of the pool excepted.
func TestOrphansAreReaped(t *testing.T) {
	r := &rig{}
	reaped := 0
	var ours []int
	r.reap = func(mine func(int) bool) error {
		reaped, ours = reaped+1, nil
		for pid := range 200 {
			if mine(pid) {
				ours = append(ours, pid)
			}
		}
		return errors.New("no luck")
	}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.send(ipc.Draining{}, 1)
		r.orphan()
		if len(ours) != 3 || ours[0] != 101 || ours[2] != 103 {
			t.Errorf("the pids spared were %v, want 3 from 101 to 103", ours)
		}
		r.die(1, Exit{}) // may have hidden the end of an orphan
		if reaped != 2 || len(ours) != 2 {
			t.Errorf("reaped %d times, want 2; the pids spared were %v, want 2", reaped, ours)
		}
		r.stopBefore(2)
		r.ends(0, "")
		r.logged(`{"level":"info","error":"no luck","message":"orphans not reaped"}`)
	})
}
