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

// The master's program is replaced when the pool is at rest, with all there is
// of it.
func TestUpgrade(t *testing.T) {
	var states []State
	r := &rig{tweak: stubborn, change: func(c *Config) {
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
			t.Fatal("executed during a reload")
		}
		r.hello(3)
		r.expect(4, "serving", "upgrade: no such; file; keeping the current master")
		if len(states) != 1 || states[0].Wanted != 2 {
			t.Fatalf("the states are %+v", states)
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
			t.Errorf("%+v", states[0])
		}
		r.signal(syscall.SIGINT)
		for i := range r.procs {
			r.die(i, Exit{})
		}
		r.ends(0, "")
	})
}

// The new program goes on with the workers of the old, and replaces them.
func TestResume(t *testing.T) {
	old := map[int]*fake{}
	r := &rig{tweak: stubborn}
	adopted := func(pid int) *fake {
		return &fake{mu: &r.mu, pid: pid, stubborn: true, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
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
		if serving != 2 { // an order had changed the number
			t.Errorf("%d workers are announced", serving)
		}
		r.movable(0)
		r.hello(0)
		r.movable(1)
		r.hello(1)
		if !slices.Equal(r.slots, []int{0, 1}) {
			t.Errorf("the slots filled are %v", r.slots)
		}
		// One of the same version gives its connections away, the other drains.
		r.told(0, ipc.Serve{}, ipc.TakeOver{})
		r.told(1, ipc.Serve{})
		for pid, want := range map[int][]ipc.Message{11: {ipc.Drain{}}, 12: {ipc.Drain{}}, 13: nil} {
			if got := old[pid].sent; !slices.Equal(got, want) {
				t.Errorf("process %d was sent %v", pid, got)
			}
		}
		old[11].die(Exit{})
		old[12].die(Exit{})
		r.signal(syscall.SIGINT)
		if !slices.Equal(old[13].signals, []syscall.Signal{syscall.SIGINT}) {
			t.Errorf("the one that leaves got %v", old[13].signals)
		}
		old[13].die(Exit{})
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.ends(0, "")
	})
}

// What others ask is answered until they have been told to end, and again when
// nothing came of the upgrade.
func TestQuiet(t *testing.T) {
	var done func()
	var notes []string
	r := &rig{tweak: stubborn}
	_, d := r.controller(func(c *Config) {
		c.Check = func(context.Context) error { notes = append(notes, "check"); return nil }
		c.Exec = func(State) error { notes = append(notes, "exec"); return syscall.ENOEXEC }
		c.SuspendRequests = func(f func()) { notes = append(notes, "quiet"); done = f }
		c.ResumeRequests = func() { notes = append(notes, "loud") }
	})
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGUSR2)
		r.look(*d)
		done()
		synctest.Wait()
		r.look(*d)
		if want := []string{"check", "quiet", "exec", "loud"}; !slices.Equal(notes, want) {
			t.Errorf("%q, want %q", notes, want)
		}
		notes = nil
		r.signal(syscall.SIGUSR2)
		r.signal(syscall.SIGTERM)
		done()
		synctest.Wait()
		r.look(*d)
		if want := []string{"check", "quiet", "loud"}; !slices.Equal(notes, want) {
			t.Errorf("stopped meanwhile: %q, want %q", notes, want)
		}
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// A worker that ends at that moment puts the upgrade off, and does not end it.
func TestUpgradeMeetsADeath(t *testing.T) {
	execs := 0
	r := &rig{tweak: stubborn, change: func(c *Config) {
		c.Exec = func(State) error { execs++; return syscall.ENOEXEC }
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.procs[0].broken = true
		r.signal(syscall.SIGUSR2)
		r.expect(1, "serving")
		r.die(0, Exit{Signal: syscall.SIGKILL})
		r.hello(1)
		if execs != 1 {
			t.Errorf("executed %d times, want once", execs)
		}
		r.signal(syscall.SIGTERM)
		r.die(1, Exit{})
		r.ends(0, "")
	})
}

// Neither the new program's check nor reading the settings holds up the loop: a
// dead worker is replaced, and the pool stops when it is told to.
func TestNothingWaitsInTheLoop(t *testing.T) {
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
		c.Exec = func(State) error { t.Error("executed"); return nil }
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
			t.Error("the check goes on after the end")
		}
		close(never)
	})
}

// A signal to reload while settings are read is not answered by those.
func TestReloadWhileLoading(t *testing.T) {
	var gate chan struct{}
	read := 0
	r := &rig{}
	r.change = func(c *Config) {
		gate = make(chan struct{})
		settings := Settings{Spawn: c.Spawn, Worker: c.Worker, Slots: c.Slots}
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
