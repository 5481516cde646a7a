package supervise

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// stopped runs a pool of one worker, with a keeper, that has been told to stop and has not
// finished draining.
func stopped(t *testing.T, test func(*rig)) {
	t.Helper()
	r := keeping()
	r.change = func(c *Config) { c.DrainTimeout = time.Minute }
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.procs[0].busy = true
		r.signal(syscall.SIGTERM)
		test(r)
	})
}

const diedInStop = "worker 0 (pid 101) died while draining: killed by SIGKILL; another takes over its connections"

// rescues reports worker i ready and checks that it takes over the connections of a dead
// worker while the pool stops, serves them, and then drains.
func (r *rig) rescues(i int) {
	r.t.Helper()
	r.hello(i)
	r.told(i, ipc.Rescue{})
	r.signalled(i)
	r.procs[i].busy = true
	r.send(ipc.Rescued{Connections: 1}, i)
	r.told(i, ipc.Rescue{}, ipc.Serve{})
	r.signalled(i, syscall.SIGINT)
}

// If a worker is killed while the pool stops, another one takes over its connections and
// drains; it may be killed in turn. This is not a failure.
func TestDeathInStop(t *testing.T) {
	stopped(t, func(r *rig) {
		r.die(0, killed)
		r.rescues(1)
		r.die(1, killed)
		r.rescues(2)
		r.die(2, Exit{})
		r.ends(0, "")
		if len(r.reported) < 3 || r.reported[2] != diedInStop {
			t.Errorf("reported %q, want the third line %q", r.reported, diedInStop)
		}
	})
}

// A pool that is told to stop during a rescue, in any phase of it, stops when the rescued
// connections have been served.
func TestStopDuringRescue(t *testing.T) {
	for _, how := range []string{"starting", "taking over", "a replacement takes over"} {
		runRig(t, 1, keeping(), func(r *rig) {
			r.hello(0)
			last := 1
			if how == "a replacement takes over" {
				r.procs[0].busy = true
				r.send(ipc.Recycle{Reason: "test"}, 0)
				r.hello(1)
				last = 2
			}
			r.die(0, killed)
			switch how {
			case "starting":
				r.signal(syscall.SIGTERM)
				r.rescues(last)
			default:
				r.hello(last)
				r.procs[last].busy = true
				r.signal(syscall.SIGTERM)
				r.signalled(last)
				r.send(ipc.Rescued{Connections: 1}, last)
				r.told(last, ipc.Rescue{}, ipc.Serve{})
				r.signalled(last, syscall.SIGINT)
			}
			r.die(last, Exit{})
			r.ends(0, "")
		})
	}
}

// If a detached worker is killed while the pool stops, its slot gets another worker beside
// the one that drains there.
func TestDetachedDeathInStop(t *testing.T) {
	stubbornly := keeping()
	runRig(t, 1, stubbornly, func(r *rig) {
		r.hello(0)
		r.procs[0].busy = true
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		r.procs[1].busy = true
		r.signal(syscall.SIGTERM)
		r.die(0, killed)
		r.rescues(2)
		r.die(1, Exit{})
		r.die(2, Exit{})
		r.ends(0, "")
	})
}

// If a worker is killed while the pool stops and its replacement is taking over the connections of
// another, the next worker in the slot takes over those of the killed one, and not the same again.
func TestDeathBesideRescueInStop(t *testing.T) {
	runRig(t, 1, keepingBusy(), func(r *rig) {
		r.hello(0)
		transfers := 0
		r.procs[0].kept.(*fakeKept).transfer = func() { transfers++ }
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		r.die(0, killed)
		r.hello(2)
		r.signal(syscall.SIGTERM)
		r.die(1, killed)
		r.hello(3)
		for i := 2; i <= 3; i++ {
			r.told(i, ipc.Rescue{})
			r.send(ipc.Rescued{Connections: 1}, i)
			r.told(i, ipc.Rescue{}, ipc.Serve{})
		}
		if transfers != 1 {
			t.Errorf("the connections of one worker were given to %d others, want one", transfers)
		}
		r.die(2, Exit{})
		r.die(3, Exit{})
		r.ends(0, "")
	})
}

// Connections are not rescued after an immediate stop nor after the drain timeout, which
// limits a rescue too.
func TestNoRescueInStop(t *testing.T) {
	stopped(t, func(r *rig) {
		r.die(0, killed)
		r.signal(syscall.SIGTERM)
		r.ends(130, "stopped immediately: requests under way were aborted")
	})
	stopped(t, func(r *rig) {
		r.pass(time.Minute)
		r.ends(1, "worker 0 (pid 101) died while draining: drain timed out after 1m0s, killed; its responses were truncated")
		if len(r.procs) != 1 {
			t.Errorf("%d processes were started, want 1", len(r.procs))
		}
	})
	stopped(t, func(r *rig) {
		r.pass(time.Second)
		r.die(0, killed)
		r.rescues(1)
		r.pass(time.Minute - 2*time.Second)
		r.signalled(1, syscall.SIGINT)
		r.pass(time.Second)
		r.signalled(1, syscall.SIGINT, syscall.SIGKILL)
		r.ends(1, "worker 0 (pid 102) died while draining: drain timed out after 1m0s, killed; its responses were truncated")
	})
}

// Connections that no worker takes over while the pool stops are a failure.
func TestNobodyTakesOverInStop(t *testing.T) {
	stopped(t, func(r *rig) {
		r.die(0, killed)
		for i := 1; i <= rescueCrashes; i++ {
			r.started(i)
			r.die(i, Exit{Code: 1, LastWords: "no"})
		}
		r.ends(1, "connections of worker 0 (pid 101) closed: 3 workers failed to take them over")
		if n := len(r.procs); n != 1+rescueCrashes {
			t.Errorf("%d processes were started, want %d", n, 1+rescueCrashes)
		}
		if !slices.ContainsFunc(r.reported, func(line string) bool { return strings.Contains(line, "no") }) {
			t.Errorf("reported %q, want the last words of a worker", r.reported)
		}
	})
}

// The pool stops even if each worker that takes connections over dies while it drains.
func TestDeathsInDrainAreLimited(t *testing.T) {
	stopped(t, func(r *rig) {
		r.die(0, Exit{Signal: syscall.SIGSYS})
		for i := 1; i < len(r.procs) && i < 20; i++ {
			r.hello(i)
			r.procs[i].busy = true
			r.send(ipc.Rescued{Connections: 1}, i)
			r.die(i, Exit{Signal: syscall.SIGSYS})
			r.pass(time.Second) // there is a delay before the next one
		}
		r.ends(1, "connections of worker 0 (pid 104) closed: 3 workers failed to take them over")
		if n := len(r.procs); n != 1+rescueCrashes {
			t.Errorf("%d processes were started, want %d", n, 1+rescueCrashes)
		}
	})
}

// Connections in the accept queue of a worker that is killed while the pool stops are
// served by another one; only then are the listening sockets closed.
func TestQueueInStop(t *testing.T) {
	empty := 0
	runRig(t, 2, &rig{change: func(c *Config) { c.OnQueuesEmpty = func() { empty++ } }}, func(r *rig) {
		r.hello(0, 1)
		for _, p := range r.procs {
			p.busy = true
		}
		r.procs[0].waited = true
		r.signal(syscall.SIGTERM)
		r.die(0, killed)
		if len(r.procs) != 3 || empty > 0 {
			t.Fatalf("%d processes were started, want 3; queues reported empty %d times, want 0", len(r.procs), empty)
		}
		r.procs[2].busy = true
		r.hello(2)
		r.told(2, ipc.Serve{})
		r.signalled(2, syscall.SIGINT)
		if empty != 1 {
			t.Errorf("queues reported empty %d times, want once", empty)
		}
		r.die(2, killed) // it is not needed any more
		r.die(1, Exit{})
		r.ends(1, "worker 0 (pid 101) died while draining: killed by SIGKILL; its responses were truncated (and 1 more)")
		if len(r.procs) != 3 || empty != 1 {
			t.Errorf("%d processes were started, want 3; queues reported empty %d times, want once", len(r.procs), empty)
		}
	})
}

// queued runs a pool of one worker that is killed while it stops, so that another one has
// to serve its accept queue.
func queued(t *testing.T, test func(r *rig)) {
	t.Helper()
	run(t, 1, func(r *rig) {
		r.hello(0)
		r.procs[0].busy, r.procs[0].waited = true, true
		r.signal(syscall.SIGTERM)
		r.die(0, killed)
		r.started(1)
		test(r)
	})
}

const truncatedInStop = "worker 0 (pid 101) died while draining: killed by SIGKILL; its responses were truncated"

// If a worker that is to serve an accept queue dies before, another one is started, a
// limited number of times.
func TestQueueOfReplacement(t *testing.T) {
	queued(t, func(r *rig) {
		r.die(1, Exit{Code: 1})
		r.started(2)
		r.hello(2)
		r.told(2, ipc.Serve{})
		r.ends(1, truncatedInStop+" (and 1 more)")
	})
	for text, how := range map[string]struct {
		exit  Exit
		procs int
	}{
		" (and 11 more)": {killed, deathLimit},
		" (and 5 more)":  {Exit{Code: 1}, 6}, // the next would be started after 1.6 s
	} {
		queued(t, func(r *rig) {
			for i := 1; i < len(r.procs); i++ {
				r.die(i, how.exit)
				r.started(i + 1)
			}
			if n := len(r.procs); n != how.procs {
				t.Errorf("%d processes were started, want %d", n, how.procs)
			}
			r.ends(1, truncatedInStop+text)
		})
	}
	queued(t, func(r *rig) {
		r.pass(startTime) // it does not become ready
		r.ends(1, truncatedInStop+" (and 1 more)")
	})
	queued(t, func(r *rig) {
		r.die(1, Exit{})
		r.ends(1, truncatedInStop)
	})
}

// An immediate stop waits for no worker that is to serve an accept queue, and starts none.
func TestForceWhileQueueWaits(t *testing.T) {
	queued(t, func(r *rig) {
		r.signal(syscall.SIGTERM)
		r.ends(130, "stopped immediately: requests under way were aborted")
	})
	queued(t, func(r *rig) {
		r.die(1, Exit{Code: 1}) // the next one is started after a delay
		r.signal(syscall.SIGTERM)
		r.ends(130, "stopped immediately: requests under way were aborted")
		if len(r.procs) != 2 {
			t.Errorf("%d processes were started, want 2", len(r.procs))
		}
	})
}

// If a replacement dies after it took over a dead worker's connections, and its own
// connections cannot be rescued, the stop does not wait for another.
func TestReplacementLostInStop(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		kept := r.procs[0].kept.(*fakeKept)
		kept.stuck = true
		r.procs[0].busy = true
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		r.die(0, killed)
		r.hello(2)
		r.procs[2].kept.EndKeeper()
		r.signal(syscall.SIGTERM)
		r.send(ipc.Rescued{Connections: 1}, 2)
		r.signalled(1)
		r.die(2, killed)
		r.signalled(1, syscall.SIGINT)
		kept.stuck = false
		kept.EndKeeper()
		r.ends(1, "worker 0 (pid 103) died during startup: killed by SIGKILL")
	})
}

// The report of a rescue names the connections that could not be rescued.
func TestRescueLine(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.procs[0].kept.(*fakeKept).left = 2
		r.die(0, killed)
		r.hello(1)
		r.send(ipc.Rescued{Connections: 3, Fixed: 1}, 1)
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; worker 0 (pid 102) rescued 3 connections after 0s; "+
			"1 closed whose response cannot be continued; 2 closed that cannot be rescued")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A death is reported before a rescue that takes long or leads to another death, and the
// rescue in a line of its own.
func TestDeathIsReportedBeforeRescue(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.die(0, killed)
		r.expect(2, "serving")
		r.pass(untoldTime)
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; respawning")
		r.hello(1)
		r.send(ipc.Rescued{Connections: 3}, 1)
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; respawning",
			"worker 0 (pid 102) rescued 3 connections of worker 0 (pid 101) after 3s")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.die(0, killed)
		r.hello(1)
		r.die(1, killed)
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; respawning",
			"worker 0 (pid 102) died: killed by SIGKILL; respawning in 100ms")
		r.pass(100 * time.Millisecond)
		r.hello(2)
		r.send(ipc.Rescued{}, 2)
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.die(0, killed)
		r.signal(syscall.SIGTERM)
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; respawning", "drain")
		r.hello(1)
		r.send(ipc.Rescued{}, 1)
		r.ends(0, "")
	})
}

// A worker that was told to exit before it was ready takes over no connections: it may
// exit without having served.
func TestNoRescueByOneThatExits(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.procs[0].busy = true
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.procs[1].busy = true
		r.signal(syscall.SIGTERM)
		r.signalled(1, syscall.SIGINT)
		r.die(0, killed)
		r.hello(1)
		r.told(1)
		r.rescues(2)
		r.die(1, Exit{})
		r.die(2, Exit{})
		r.ends(0, "")
	})
}
