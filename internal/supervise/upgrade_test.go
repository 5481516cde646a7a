package supervise

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/ipc"
)

// An upgrade waits for the end of a reload, and passes on the state of all workers.
func TestUpgrade(t *testing.T) {
	var states []State
	r := &rig{tweak: busy, change: func(c *Config) {
		c.Exec = func(s State) error {
			states = append(states, s)
			return errors.New("no such\nfile")
		}
	}}
	runRig(t, 2, r, func(r *rig) {
		r.movable(0)
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGUSR2)
		r.hello(2)
		if len(states) > 0 {
			t.Fatal("the upgrade was executed during a reload")
		}
		r.hello(3)
		r.expect(4, "serving", "upgrade: no such; file; keeping the current master")
		if len(states) != 1 || states[0].Wanted != 2 {
			t.Fatalf("executed with the states %+v, want one with 2 workers", states)
		}
		var pids, detached []int
		for _, w := range states[0].Workers {
			if w.Detached {
				detached = append(detached, w.PID)
			} else {
				pids = append(pids, w.PID)
			}
		}
		slices.Sort(detached)
		if !slices.Equal(pids, []int{103, 104}) || !slices.Equal(detached, []int{101, 102}) {
			t.Errorf("the state is %+v, want workers 103 and 104, and 101 and 102 detached", states[0])
		}
		r.stop()
	})
}

// The new program continues with the workers of the old one, and replaces them.
func TestResume(t *testing.T) {
	old := map[int]*fake{}
	r := &rig{tweak: busy}
	adopted := func(pid int) *fake {
		return &fake{mu: &r.mu, pid: pid, busy: true, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
	}
	serving := 0
	r.change = func(c *Config) {
		ready := time.Now().Add(-time.Hour)
		c.OnServing = func(workers int) { serving = workers }
		c.Resume = &State{Wanted: 2, Slots: 5, Workers: []WorkerState{
			{Handle: Handle{PID: 11}, Slot: 0, Movable: true, Version: "1", Started: ready, Ready: ready},
			{Handle: Handle{PID: 12}, Slot: 1, Movable: true, Version: "0", Started: ready, Ready: ready},
			{Handle: Handle{PID: 13}, Slot: 7, Detached: true, Version: "0", Started: ready, Ready: ready},
		}}
		c.Reattach = func(_ int, h Handle) (Process, error) {
			old[h.PID] = adopted(h.PID)
			return old[h.PID], nil
		}
	}
	runRig(t, 5, r, func(r *rig) {
		if serving != 2 { // a command had changed the number
			t.Errorf("%d workers were reported serving, want 2", serving)
		}
		r.movable(0)
		r.hello(0)
		r.movable(1)
		r.hello(1)
		if !slices.Equal(r.slots, []int{0, 1}) {
			t.Errorf("workers were started in slots %v, want [0 1]", r.slots)
		}
		// The worker of the same version hands its connections over, the other one drains.
		r.told(0, ipc.Serve{}, ipc.TakeOver{})
		r.told(1, ipc.Serve{})
		for pid, want := range map[int][]ipc.Message{11: {ipc.Drain{}}, 12: {ipc.Drain{}}, 13: nil} {
			if got := old[pid].sent; !slices.Equal(got, want) {
				t.Errorf("process %d was sent %v, want %v", pid, got, want)
			}
		}
		old[11].die(Exit{})
		old[12].die(Exit{})
		r.signal(syscall.SIGINT)
		if !slices.Equal(old[13].signals, []syscall.Signal{syscall.SIGINT}) {
			t.Errorf("the detached worker got signals %v, want SIGINT", old[13].signals)
		}
		old[13].die(Exit{})
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.ends(0, "")
	})
}

// adopt returns a function that takes over workers, which are busy, and stores them by pid.
func (r *rig) adopt(old map[int]*fake) func(int, Handle) (Process, error) {
	return func(_ int, h Handle) (Process, error) {
		old[h.PID] = &fake{mu: &r.mu, pid: h.PID, busy: true, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
		return old[h.PID], nil
	}
}

// After an upgrade, too, the socket of a slot stays open as long as a worker accepts from it that
// drained before the slot was reopened.
func TestResumeReopenedSlot(t *testing.T) {
	s, old := &sockets{open: 2}, map[int]*fake{}
	r := &rig{tweak: busy}
	r.change = func(c *Config) {
		ready := time.Now().Add(-time.Hour)
		c.Sockets, c.Reattach = s, r.adopt(old)
		c.Resume = &State{Wanted: 2, Slots: 2, Workers: []WorkerState{
			{Handle: Handle{PID: 11}, Slot: 0, Version: "1", Started: ready, Ready: ready},
			{Handle: Handle{PID: 12}, Slot: 1, Version: "1", Started: ready, Ready: ready},
			{Handle: Handle{PID: 13}, Slot: 1, Detached: true, LastOwner: true, Version: "1", Started: ready, Ready: ready},
		}}
	}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0)
		r.hello(1)
		old[11].die(Exit{})
		old[12].die(Exit{})
		r.signal(syscall.SIGTTOU)
		r.die(1, Exit{})
		s.expect(t, "steer [0 1]", "steer [0]")
		old[13].die(Exit{})
		synctest.Wait()
		s.expect(t, "shrink 1", "steer [0]")
		r.stop()
	})
}

// After an upgrade to a program of the same version, a drain does not wait for the queue of a worker
// that has reported before the upgrade that it is empty.
func TestResumeEmptyQueue(t *testing.T) {
	old, empty := map[int]*fake{}, false
	r := &rig{}
	r.change = func(c *Config) {
		ready := time.Now().Add(-time.Hour)
		c.Reattach, c.OnQueuesEmpty = r.adopt(old), func() { empty = true }
		c.Resume = &State{Wanted: 1, Slots: 1, Workers: []WorkerState{
			{Handle: Handle{PID: 11}, Version: "1", Started: ready, Ready: ready},
			{Handle: Handle{PID: 12}, Detached: true, QueueEmpty: true, Version: "1", Started: ready, Ready: ready},
		}}
	}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		old[11].die(Exit{})
		old[12].waited = true // it does not report that again
		r.signal(syscall.SIGTERM)
		if !empty {
			t.Error("a worker's download delays the closing of the listening sockets")
		}
		old[12].die(Exit{})
		r.ends(0, "")
	})
}

// An upgrade does not give a draining worker more time.
func TestUpgradeKeepsDrainTimeout(t *testing.T) {
	var state State
	r := &rig{tweak: busy, change: func(c *Config) {
		c.DrainTimeout = time.Minute
		c.Exec = func(s State) error { state = s; return syscall.ENOEXEC }
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		r.pass(20 * time.Second)
		r.signal(syscall.SIGUSR2)
		if left := time.Until(state.Workers[0].DrainBy); !state.Workers[0].Detached || left > 40*time.Second || left < 39*time.Second {
			t.Errorf("the worker has %v left in %+v, want 40s", left, state.Workers[0])
		}
		r.stop()
	})
	old := map[int]*fake{}
	r = &rig{tweak: busy}
	r.change = func(c *Config) {
		now := time.Now()
		c.DrainTimeout, c.Reattach = time.Minute, r.adopt(old)
		c.Resume = &State{Wanted: 1, Slots: 1, Workers: []WorkerState{
			{Handle: Handle{PID: 11}, Version: "1", Started: now, Ready: now},
			{Handle: Handle{PID: 12}, Detached: true, Version: "1", Started: now, Ready: now, DrainBy: now.Add(40 * time.Second)},
		}}
	}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		old[11].die(Exit{})
		r.pass(39 * time.Second)
		if len(old[12].signals) > 0 {
			t.Errorf("the draining worker got signals %v too early", old[12].signals)
		}
		r.pass(time.Second)
		if !slices.Equal(old[12].signals, []syscall.Signal{syscall.SIGKILL}) {
			t.Errorf("the draining worker got signals %v, want SIGKILL", old[12].signals)
		}
		r.stop()
	})
}

// After an upgrade, the accept queue of a slot is that of its worker, not of one that drains, and each
// has its generation. Earlier versions did not pass generations on.
func TestResumeGenerations(t *testing.T) {
	var state State
	upgrading := &rig{tweak: busy, change: func(c *Config) { c.Exec = func(s State) error { state = s; return syscall.ENOEXEC } }}
	runRig(t, 1, upgrading, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.hello(1)
		r.signal(syscall.SIGUSR2)
		r.stop()
	})
	for i, want := range []string{"serving 0:102 serving g2 row-1, 0:101 draining g1 row-1", "serving 0:102 serving g2 row-1, 0:101 draining g2 row-1"} {
		if i == 1 { // an earlier version
			state.Workers[0].Generation, state.Workers[1].Generation = 0, 0
		}
		state.Totals = map[int]*Totals{0: {Generations: 2}}
		r, old := &rig{tweak: busy}, map[int]*fake{}
		_, d := r.controller(func(c *Config) {
			c.Resume, c.Reattach, c.Queue = &state, r.adopt(old), func(int) (int, int) { return 5, 128 }
		})
		runRig(t, 1, r, func(r *rig) {
			r.die(0, Exit{Code: 1}) // the replacement
			got, v := r.look(*d)
			if got != want || v.Workers[0].Queue != 5 || v.Workers[1].Queue != 0 {
				t.Errorf("the pool is %s\nwant %s; the queues are %d and %d, want 5 and 0", got, want, v.Workers[0].Queue, v.Workers[1].Queue)
			}
			for _, f := range old {
				f.die(Exit{})
			}
			synctest.Wait()
			r.stop()
		})
	}
}

// Requests to the admin endpoint are served until an upgrade suspends them, and again after
// an upgrade that did not happen.
func TestRequestsDuringUpgrade(t *testing.T) {
	var done func()
	var notes []string
	r := &rig{tweak: busy}
	_, d := r.controller(func(c *Config) {
		c.Check = func(context.Context) error { notes = append(notes, "check"); return nil }
		c.Exec = func(State) error { notes = append(notes, "exec"); return syscall.ENOEXEC }
		c.SuspendRequests = func(f func()) { notes = append(notes, "suspend"); done = f }
		c.ResumeRequests = func() { notes = append(notes, "resume") }
	})
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGUSR2)
		r.look(*d)
		done()
		synctest.Wait()
		r.look(*d)
		if want := []string{"check", "suspend", "exec", "resume"}; !slices.Equal(notes, want) {
			t.Errorf("called %q, want %q", notes, want)
		}
		notes = nil
		r.signal(syscall.SIGUSR2)
		r.signal(syscall.SIGTERM)
		done()
		synctest.Wait()
		r.look(*d)
		if want := []string{"check", "suspend", "resume"}; !slices.Equal(notes, want) {
			t.Errorf("stopped meanwhile: called %q, want %q", notes, want)
		}
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// Neither the check of a new program nor reading the settings blocks the loop: a dead worker
// is replaced, and the pool stops when told to.
func TestLoopIsNotBlocked(t *testing.T) {
	var never chan struct{}
	checked := false
	r := &rig{}
	r.change = func(c *Config) {
		never = make(chan struct{})
		c.Check = func(ctx context.Context) error {
			<-ctx.Done()
			checked = true
			return ctx.Err()
		}
		c.Exec = func(State) error { t.Error("the upgrade was executed"); return nil }
		c.Reload = func() (Settings, error) {
			<-never
			return Settings{}, errors.New("too late")
		}
	}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGUSR2)
		r.die(0, Exit{Signal: syscall.SIGSEGV})
		r.hello(2)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGHUP)
		r.die(1, Exit{Signal: syscall.SIGSEGV})
		r.hello(3)
		r.expect(4, "serving",
			"worker 0 (pid 101) died: killed by SIGSEGV; respawning",
			"worker 1 (pid 102) died: killed by SIGSEGV; respawning")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
		synctest.Wait()
		if !checked {
			t.Error("the check was not canceled at the end")
		}
		close(never)
	})
}

// A reload that is asked for while settings are read reads them again.
func TestReloadWhileLoading(t *testing.T) {
	var gate chan struct{}
	read := 0
	r := &rig{}
	r.change = func(c *Config) {
		gate = make(chan struct{})
		settings := c.Settings
		c.Reload = func() (Settings, error) {
			<-gate
			read++
			return settings, nil
		}
	}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGHUP)
		close(gate)
		synctest.Wait()
		if read != 2 {
			t.Errorf("the settings were read %d times, want 2", read)
		}
		r.hello(1)
		r.expect(2, "serving")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}
