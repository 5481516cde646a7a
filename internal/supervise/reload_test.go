package supervise

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// movable reports that workers can hand their connections over.
func (r *rig) movable(procs ...int) {
	r.send(ipc.CanHandOver{}, procs...)
}

// A reload replaces the workers slot by slot: the new worker is ready before the old one is
// told to drain.
func TestReload(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy}, func(r *rig) {
		r.movable(0, 1)
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.expect(3, "serving")
		r.told(0, ipc.Serve{})
		r.movable(2)
		r.hello(2)
		r.told(2, ipc.Serve{}, ipc.TakeOver{})
		r.told(0, ipc.Serve{}, ipc.Drain{})
		r.expect(4, "serving")
		if !slices.Equal(r.slots, []int{0, 1, 0, 1}) {
			t.Errorf("workers were started in slots %v, want [0 1 0 1]", r.slots)
		}
		r.hello(3) // it cannot take connections over
		r.told(3, ipc.Serve{})
		r.told(1, ipc.Serve{}, ipc.Drain{})
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.expect(4, "serving")
		r.signalled(0)
		r.stop()
	})
}

// If a new worker does not start, the pool keeps the current workers and settings.
func TestReloadFails(t *testing.T) {
	var fresh []int
	r := &rig{}
	r.change = func(c *Config) {
		c.Reload = func() (Settings, error) {
			return Settings{Slots: 2, Spawn: func(slot, row int) (Process, error) {
				fresh = append(fresh, slot)
				return r.start(slot, -1)
			}}, nil
		}
	}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.send(ipc.Failed{ExitCode: 78, Reason: "open root: gone"}, 2)
		r.die(2, Exit{Code: 78})
		r.expect(3, "serving", "open root: gone; worker 0 (pid 101) is not replaced")
		r.signalled(0)
		r.die(0, Exit{Code: 1})
		r.hello(3)
		if !slices.Equal(fresh, []int{0}) {
			t.Errorf("workers were started with the new settings in slots %v, want [0]", fresh)
		}
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// An error names the binary that was started: the new one while new settings are tried, the
// old one after they have failed, and the new one once a worker of it was ready.
func TestErrorNamesBinary(t *testing.T) {
	const cure = "; build it with make, or name it with --worker PATH"
	const old, fresh = "; worker 0 (pid 101) is not replaced", "; worker 0 (pid 105) is not replaced"
	missing := true
	r := &rig{}
	start := func(slot, _ int) (Process, error) {
		if missing {
			return nil, &fs.PathError{Op: "fork/exec", Path: "w", Err: syscall.ENOENT}
		}
		return r.start(slot, -1)
	}
	r.change = func(c *Config) {
		c.Reload = func() (Settings, error) { return Settings{Slots: 1, Worker: "/new/worker", Spawn: start}, nil }
	}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		missing = false
		r.signal(syscall.SIGHUP)
		r.send(ipc.Ready{PID: 102, Version: "2"}, 1)
		r.signal(syscall.SIGHUP)
		r.die(2, Exit{Code: 1})
		r.send(ipc.Recycle{Reason: "old"}, 0)
		r.die(3, Exit{Code: 1})
		r.signal(syscall.SIGHUP)
		r.hello(4)
		r.send(ipc.Recycle{Reason: "old"}, 4)
		r.die(5, Exit{Code: 1})
		r.expect(6, "serving",
			"worker /new/worker: no such file or directory"+cure+old,
			`worker /new/worker: is version "2", not the master's "1"; build both with make, or name the right one with --worker PATH`+old,
			"worker /new/worker: not a worker of Phalanx 1 (exit status 1)"+cure+old,
			"worker /bin/worker: not a worker of Phalanx 1 (exit status 1)"+cure+old,
			"worker /new/worker: not a worker of Phalanx 1 (exit status 1)"+cure+fresh)
		r.die(0, Exit{})
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// A reload is refused before the pool serves, and if its settings are wrong.
func TestReloadRefused(t *testing.T) {
	r := &rig{tweak: busy, change: func(c *Config) {
		c.Reload = func() (Settings, error) {
			return Settings{}, errors.New("phalanx.conf:3: no such flag\nphalanx.conf:5: no such flag")
		}
	}}
	runRig(t, 1, r, func(r *rig) {
		r.signal(syscall.SIGHUP)
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.expect(1, "reload: the pool is not serving yet; send SIGHUP again when it is", "serving",
			"reload: phalanx.conf:3: no such flag; phalanx.conf:5: no such flag; keeping the current workers")
		r.signal(syscall.SIGINT)
		r.signal(syscall.SIGHUP) // is ignored during the stop
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// If a worker ends while its replacement starts, no other is started, and the reload continues.
func TestDeathDuringReload(t *testing.T) {
	for name, gone := range map[string]func(*rig){
		"killed":         func(r *rig) { r.die(0, Exit{Signal: syscall.SIGKILL}) },
		"exit status 78": func(r *rig) { r.die(0, Exit{Code: 78}) },
		"exit status 0":  func(r *rig) { r.die(0, Exit{}) },
		"drained":        func(r *rig) { r.send(ipc.Draining{}, 0); r.die(0, Exit{}) },
		"draining":       func(r *rig) { r.send(ipc.Draining{}, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, func(r *rig) {
				r.hello(0, 1)
				r.signal(syscall.SIGHUP)
				gone(r)
				if len(r.procs) != 3 {
					t.Fatalf("%d processes were started, want 3", len(r.procs))
				}
				r.hello(2)
				r.told(2, ipc.Serve{})
				r.hello(3) // the reload continues
				r.told(1, ipc.Serve{}, ipc.Drain{})
				r.die(1, Exit{})
				r.stop()
			})
		})
	}
}

// If a worker is killed while its replacement starts, and then the replacement too, the reload
// continues with the worker that follows.
func TestTwoDeathsDuringReload(t *testing.T) {
	applied := 0
	var reloading []bool
	r := &rig{}
	r.change = func(c *Config) {
		settings := Settings{Slots: 1, Spawn: c.Spawn, Applied: func() { applied++ }}
		c.Reload = func() (Settings, error) { return settings, nil }
		c.OnReload = func(begun bool, _ string) { reloading = append(reloading, begun) }
	}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.die(0, killed)
		r.die(1, killed)
		if !slices.Equal(reloading, []bool{true}) {
			t.Errorf("the reload was reported as %v, want begun and not ended", reloading)
		}
		r.restarted(2)
		if applied > 0 {
			t.Error("the settings are in force before a worker was ready with them")
		}
		r.hello(3)
		r.told(2, ipc.Serve{}, ipc.Drain{})
		if applied != 1 {
			t.Errorf("the settings were put in force %d times, want once", applied)
		}
		r.die(2, Exit{})
		r.stop()
	})
}

// A worker that is added during a reload, before the new settings are in force, is replaced too.
func TestGrowDuringReload(t *testing.T) {
	s := &sockets{open: 1}
	runRig(t, 1, &rig{tweak: busy, change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGTTIN)
		r.hello(1)
		r.hello(2)
		r.hello(3)
		r.told(2, ipc.Serve{}, ipc.Drain{})
		r.stop()
	})
}

// A second reload replaces the workers that the first one has started, too.
func TestReloadTwice(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGHUP)
		for i := 2; i < 5; i++ {
			r.hello(i)
		}
		r.expect(5, "serving")
		if !slices.Equal(r.slots, []int{0, 1, 0, 0, 1}) {
			t.Errorf("workers were started in slots %v, want [0 1 0 0 1]", r.slots)
		}
		for _, i := range []int{0, 1, 2} {
			r.told(i, ipc.Serve{}, ipc.Drain{})
			r.die(i, Exit{})
		}
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// A stop during a reload stops the old workers and the new ones.
func TestStopDuringReload(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy}, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGTERM)
		for i := range 3 {
			r.signalled(i, syscall.SIGINT)
			r.die(i, Exit{})
		}
		r.ends(0, "")
		r.expect(3, "serving", "drain")
	})
}

// A SIGHUP that the kernel sends because the terminal was closed stops the pool.
func TestTerminalHangUp(t *testing.T) {
	runRig(t, 1, &rig{change: func(c *Config) { c.HungUp = func() bool { return true } }}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.ends(0, "")
		r.expect(1, "serving", "drain")
	})
}

// Workers that ask to be recycled are replaced, one at a time.
func TestRecycle(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(0, 1)
		r.send(ipc.Recycle{Reason: "9 requests"}, 0)
		r.send(ipc.Recycle{Reason: "9 requests"}, 1)
		r.expect(3, "serving") // one at a time
		r.hello(2)
		r.told(0, ipc.Serve{}, ipc.Drain{})
		r.hello(3)
		r.told(1, ipc.Serve{}, ipc.Drain{})
		r.send(ipc.Recycle{Reason: "again"}, 0) // it drains already
		r.expect(4, "serving")
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// A worker that drains for longer than the drain timeout is killed.
func TestDrainTimeout(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy, change: func(c *Config) { c.DrainTimeout = time.Minute }}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.hello(1)
		r.pass(time.Minute - time.Millisecond)
		r.signalled(0)
		r.pass(time.Millisecond)
		r.signalled(0, syscall.SIGKILL)
		r.expect(2, "serving", "worker 0 (pid 101) died while draining: drain timed out after 1m0s, killed; its responses were truncated")
		r.signal(syscall.SIGINT)
		r.pass(time.Minute)
		r.ends(1, "worker 0 (pid 102) died while draining: drain timed out after 1m0s, killed; its responses were truncated")
	})
}

// A worker that has sent no heartbeat within the hang timeout is killed and replaced.
func TestHungWorker(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy, change: func(c *Config) { c.HangTimeout = 10 * time.Second }}, func(r *rig) {
		r.pass(9 * time.Second) // no heartbeat is expected before a worker serves
		r.hello(0)
		r.pass(900 * time.Millisecond)
		r.hello(1)
		for range 9 {
			r.pass(time.Second)
			r.send(ipc.Alive{}, 0)
		}
		r.pass(999 * time.Millisecond)
		r.signalled(1)
		r.pass(time.Millisecond)
		r.signalled(1, syscall.SIGKILL)
		r.expect(3, "serving", "worker 1 (pid 102) died: hung: no heartbeat for 10s, killed; uptime 20s; respawning")
		r.stop()
	})
}

// If a worker dies that was to take connections over, the next one takes them over.
func TestSuccessorDies(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		r.movable(0)
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.movable(1)
		r.hello(1)
		r.die(1, Exit{Signal: syscall.SIGKILL})
		r.told(0, ipc.Serve{}, ipc.Drain{})
		r.movable(2)
		r.hello(2)
		r.told(0, ipc.Serve{}, ipc.Drain{}, ipc.Drain{})
		r.told(2, ipc.Serve{}, ipc.TakeOver{})
		r.die(0, Exit{})
		r.stop()
	})
}

// If the worker dies to which the worker of a closing slot hands its connections over, the next
// one takes them over.
func TestSuccessorOfClosingSlotDies(t *testing.T) {
	runRig(t, 3, &rig{tweak: busy, change: func(c *Config) { c.Sockets = &sockets{open: 3} }}, func(r *rig) {
		r.movable(0, 1, 2)
		r.hello(0, 1, 2)
		r.signal(syscall.SIGTTOU)
		r.told(0, ipc.Serve{}, ipc.TakeOver{})
		r.told(2, ipc.Serve{}, ipc.Drain{Queue: true})
		r.die(0, killed)
		r.told(1, ipc.Serve{}, ipc.TakeOver{})
		r.told(2, ipc.Serve{}, ipc.Drain{Queue: true}, ipc.Drain{Queue: true})
		r.hello(3)
		r.die(2, Exit{})
		r.stop()
	})
}

// If a new worker dies as soon as it has reported ready, it takes no connections over: the
// next one does, and the old worker waits for it.
func TestSuccessorDiesAtOnce(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy}, func(r *rig) {
		r.movable(0, 1)
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.movable(2)
		r.procs[2].broken = true
		r.hello(2)
		r.told(0, ipc.Serve{})
		r.die(2, Exit{Signal: syscall.SIGKILL})
		r.told(0, ipc.Serve{}, ipc.Drain{}) // to the worker of the other slot
		r.told(1, ipc.Serve{}, ipc.TakeOver{})
		r.signalled(0)
		r.signal(syscall.SIGTERM)
		for i := range r.procs {
			r.die(i, Exit{})
		}
	})
	// Without another slot, the old worker waits for the next one.
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		r.movable(0)
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.movable(1)
		r.procs[1].broken = true
		r.hello(1)
		r.told(0, ipc.Serve{})
		r.die(1, Exit{Signal: syscall.SIGKILL})
		r.told(0, ipc.Serve{})
		r.movable(2)
		r.hello(2)
		r.told(0, ipc.Serve{}, ipc.Drain{})
		r.told(2, ipc.Serve{}, ipc.TakeOver{})
		r.signal(syscall.SIGTERM)
		for i := range r.procs {
			r.die(i, Exit{})
		}
	})
}
