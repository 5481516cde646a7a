package supervise

import (
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// If a worker has taken over the connections of a dead one and is killed before it serves,
// the rescue is reported, once.
func TestKilledWhenTakenOver(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		kept := r.procs[0].kept.(*fakeKept)
		kept.left, kept.stuck = 2, true
		r.die(0, killed)
		r.hello(1)
		r.send(ipc.Rescued{Connections: 3}, 1)
		kept.stuck = false
		r.die(1, killed)
		r.started(2)
		r.hello(2)
		r.send(ipc.Rescued{Connections: 3}, 2)
		r.expect(3, "serving",
			"worker 0 (pid 101) died: killed by SIGKILL; worker 0 (pid 102) rescued 3 connections after 0s; 2 closed that cannot be rescued",
			"worker 0 (pid 102) died: killed by SIGKILL; respawning in 100ms",
			"worker 0 (pid 103) rescued 3 connections of worker 0 (pid 102) after 100ms")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// If the replacement that is to take over the connections of a dead worker cannot be started, that is
// tried again soon, even if nothing else happens.
func TestReplacementNotStarted(t *testing.T) {
	runRig(t, 1, keepingBusy(), func(r *rig) {
		r.hello(0)
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		r.spawn = func(int) error { return syscall.EAGAIN }
		r.die(0, killed)
		r.spawn = nil
		r.pass(firstDelay)
		r.hello(2)
		r.send(ipc.Rescued{Connections: 1}, 2)
		r.told(2, ipc.Rescue{}, ipc.Serve{})
		r.die(1, Exit{})
		r.signal(syscall.SIGTERM)
		r.die(2, Exit{})
		r.ends(0, "")
	})
}

// Workers that die while they drain are replaced after growing delays, although each is
// replaced by one that takes over the connections of the one before.
func TestDeathsInDrainArePaced(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.procs[0].busy = true
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		for i, pause := range []time.Duration{0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000} {
			began := time.Now()
			r.procs[i+1].busy = true
			r.die(i, Exit{Signal: syscall.SIGSEGV})
			r.started(i + 2)
			if took := time.Since(began); took < pause*time.Millisecond || took > pause*time.Millisecond+firstDelay {
				t.Fatalf("death %d: replaced after %v, want %v", i+1, took, pause*time.Millisecond)
			}
			r.hello(i + 2)
			r.send(ipc.Rescued{Connections: 1}, i+2)
		}
		r.pass(longDelay + healthyTime) // resets the delay
		n := len(r.procs)
		r.procs[n-1].busy = true
		r.die(n-2, Exit{Signal: syscall.SIGSEGV})
		if len(r.procs) != n+1 {
			t.Error("a worker that died after a healthy time is not replaced at once")
		}
		r.hello(n)
		r.send(ipc.Rescued{Connections: 1}, n)
		r.die(n-1, Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A worker that takes over the connections of a dead one does not serve yet.
func TestRescuingIsStarting(t *testing.T) {
	r := keeping()
	_, d := r.controller(nil)
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.die(0, killed)
		r.hello(1)
		if got, _ := r.look(*d); got != "serving 0:102 starting g2 row1" {
			t.Errorf("during the rescue, the pool is %s", got)
		}
		r.send(ipc.Rescued{Connections: 3}, 1)
		if got, _ := r.look(*d); got != "serving 0:102 serving g2 row1" {
			t.Errorf("after the rescue, the pool is %s", got)
		}
		r.stop()
	})
}
