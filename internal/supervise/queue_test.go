package supervise

import (
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// The accept queue of a slot that has no worker is served before the pool stops, however
// the last worker ended.
func TestStopBeforeNextWorker(t *testing.T) {
	for name, ends := range map[string]func(*rig){
		"killed": func(r *rig) { r.die(0, killed) },
		"sent a signal": func(r *rig) {
			r.procs[0].busy = true
			r.send(ipc.QueueLeft{}, 0)
			r.send(ipc.Draining{}, 0)
			r.die(0, Exit{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				r.hello(0)
				ends(r)
				r.stopBefore(1)
				r.ends(0, "")
			})
		})
	}
	run(t, 1, func(r *rig) {
		r.hello(0)
		r.die(0, killed)
		r.die(1, killed) // there is a delay before the next one
		r.signal(syscall.SIGTERM)
		r.started(2)
		r.hello(2)
		r.told(2, ipc.Serve{})
		r.ends(0, "")
	})
}

// A worker that was sent a signal just before the pool is told to stop leaves its accept
// queue to another one, which serves it although the first still drains.
func TestQueueLeftInStop(t *testing.T) {
	empty := 0
	runRig(t, 1, &rig{change: func(c *Config) { c.OnQueuesEmpty = func() { empty++ } }}, func(r *rig) {
		r.hello(0)
		r.procs[0].busy, r.procs[0].waited = true, true
		r.signal(syscall.SIGTERM)
		r.send(ipc.QueueLeft{}, 0)
		r.send(ipc.Draining{}, 0)
		r.send(ipc.QueuesEmpty{}, 0)
		if empty != 0 || len(r.procs) != 2 {
			t.Fatalf("queues reported empty %d times, want 0; %d processes started, want 2", empty, len(r.procs))
		}
		r.send(ipc.QueueLeft{}, 1) // the next one was sent a signal too, before it was ready
		r.send(ipc.Draining{}, 1)
		r.die(1, Exit{})
		r.started(2)
		r.hello(2)
		r.told(2, ipc.Serve{})
		r.signalled(2, syscall.SIGINT)
		r.die(0, Exit{})
		r.ends(0, "")
		if empty != 1 {
			t.Errorf("queues reported empty %d times, want once", empty)
		}
	})
}

// If the replacement of such a worker is taking over the connections of another, it serves the queue.
func TestQueueLeftToRescuer(t *testing.T) {
	runRig(t, 1, keepingBusy(), func(r *rig) {
		r.hello(0)
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		r.die(0, killed)
		r.hello(2)
		r.signal(syscall.SIGTERM)
		r.send(ipc.QueueLeft{}, 1)
		r.send(ipc.Draining{}, 1)
		if len(r.procs) != 3 {
			t.Fatalf("%d processes were started, want 3", len(r.procs))
		}
		r.send(ipc.Rescued{Connections: 1}, 2)
		r.told(2, ipc.Rescue{}, ipc.Serve{})
		r.signalled(2, syscall.SIGINT)
		r.die(1, Exit{})
		r.die(2, Exit{})
		r.ends(0, "")
	})
}

// The pool stops even if each worker leaves its accept queue to the next one.
func TestQueueLeftAgainAndAgain(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGTERM)
		for i := range r.procs {
			r.procs[i].busy = true
		}
		for i := 0; i < len(r.procs) && i < 2*deathLimit; i++ {
			if i > 0 {
				r.hello(i)
			}
			r.send(ipc.QueueLeft{}, i)
			r.send(ipc.Draining{}, i)
			r.die(i, Exit{})
			r.pass(time.Second)
		}
		if len(r.procs) > deathLimit {
			t.Errorf("%d processes were started, want at most %d", len(r.procs), deathLimit)
		}
		r.ends(0, "")
	})
}

// The worker of a slot that is being closed may leave its accept queue to another one too.
func TestQueueLeftInClosingSlot(t *testing.T) {
	for _, exits := range []bool{false, true} {
		s := &sockets{open: 2}
		runRig(t, 2, &rig{change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
			r.hello(0, 1)
			r.procs[1].busy = true
			r.signal(syscall.SIGTTOU)
			r.send(ipc.QueueLeft{}, 1)
			if !exits {
				r.send(ipc.Draining{}, 1)
			}
			r.die(1, Exit{})
			r.hello(2)
			r.told(2, ipc.Serve{}, ipc.Drain{Queue: true})
			r.die(2, Exit{})
			s.expect(t, "steer [0 1]", "steer [0]", "shrink 1", "steer [0]")
			r.signal(syscall.SIGTERM)
			r.ends(0, "")
		})
	}
}
