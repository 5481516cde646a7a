package supervise

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

// sockets is a set of listening sockets that records the calls of its methods.
type sockets struct {
	open  int
	notes []string
	full  bool
}

func (s *sockets) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *sockets) Grow() (int, error) {
	if s.full {
		return 0, errors.New("too many open files")
	}
	s.open++
	s.note("grow %d", s.open-1)
	return s.open - 1, nil
}

func (s *sockets) Shrink() error {
	s.open--
	s.note("shrink %d", s.open)
	return nil
}

func (s *sockets) Steer(slots []int) error {
	s.note("steer %v", slots)
	return nil
}

func (s *sockets) expect(t *testing.T, notes ...string) {
	t.Helper()
	if !slices.Equal(s.notes, notes) {
		t.Errorf("the calls on the sockets were %q\nwant %q", s.notes, notes)
	}
	s.notes = nil
}

// SIGTTIN adds a worker with a socket of its own, SIGTTOU drains the last one and closes
// its socket; the last worker of the pool stays.
func TestScale(t *testing.T) {
	s := &sockets{open: 1}
	runRig(t, 1, &rig{tweak: busy, change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.movable(0)
		r.hello(0)
		r.signal(syscall.SIGTTIN)
		s.expect(t, "steer [0]", "grow 1", "steer [0]")
		r.movable(1)
		r.hello(1)
		s.expect(t, "steer [0 1]")
		r.told(1, ipc.Serve{})
		r.signal(syscall.SIGTTOU)
		// New connections go elsewhere before the worker is told.
		s.expect(t, "steer [0]")
		r.told(1, ipc.Serve{}, ipc.Drain{Queue: true})
		r.told(0, ipc.Serve{}, ipc.TakeOver{})
		r.die(1, Exit{})
		s.expect(t, "shrink 1", "steer [0]")
		r.signal(syscall.SIGTTOU)
		r.expect(2, "serving", "at least one worker is needed; stop the server with SIGTERM")
		s.full = true
		r.signal(syscall.SIGTTIN)
		r.expect(2, "serving", "at least one worker is needed; stop the server with SIGTERM", "number of workers stays 1: too many open files")
		r.stop()
	})
}

// A reload applies the number of workers of new settings, and keeps the one that signals
// have set if the settings have not changed it.
func TestReloadScales(t *testing.T) {
	s := &sockets{open: 1}
	slots := 1
	r := &rig{change: func(c *Config) {
		c.Sockets = s
		spawn := c.Spawn
		c.Reload = func() (Settings, error) { return Settings{Slots: slots, Spawn: spawn}, nil }
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGTTIN)
		r.hello(1)
		r.signal(syscall.SIGHUP) // the settings have not changed: the two workers stay
		r.hello(2)
		r.hello(3)
		r.expect(4, "serving")
		slots = 3
		r.signal(syscall.SIGHUP)
		r.hello(4)
		if s.open != 3 {
			t.Errorf("%d sockets are open, want 3", s.open)
		}
		r.stop()
	})
}

// Workers are told how many of them share the limits of the pool: before they serve, and
// whenever the number changes.
func TestWorkersAreToldTheirShare(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy, change: func(c *Config) { c.Sockets, c.Shares = &sockets{open: 1}, true }}, func(r *rig) {
		r.movable(0)
		r.hello(0)
		r.told(0, ipc.Serve{})
		r.signal(syscall.SIGTTIN)
		r.told(0, ipc.Serve{}, ipc.Share{Slots: 2})
		r.movable(1)
		r.hello(1)
		r.told(1, ipc.Share{Slots: 2}, ipc.Serve{})
		r.signal(syscall.SIGTTOU)
		r.told(0, ipc.Serve{}, ipc.Share{Slots: 2}, ipc.TakeOver{}, ipc.Share{Slots: 1})
		r.die(1, Exit{})
		r.stop()
	})
}

// A slot without a worker is closed only after a new worker has served its queue.
func TestShrinkWaits(t *testing.T) {
	s := &sockets{open: 2}
	runRig(t, 2, &rig{tweak: busy, change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.hello(0, 1)
		r.die(1, Exit{Signal: syscall.SIGKILL})
		s.expect(t, "steer [0 1]", "steer [0]") // not to the slot without a worker
		r.signal(syscall.SIGTTOU)
		s.expect(t)
		r.hello(2)
		s.expect(t) // new connections already go to the other slot
		r.told(2, ipc.Serve{}, ipc.Drain{Queue: true})
		r.stop()
	})
}

// The last slot is not closed if all others are quarantined: no worker would serve any more, and the
// pool would end.
func TestOnlyServingSlotStays(t *testing.T) {
	s := &sockets{open: 2}
	runRig(t, 2, &rig{tweak: busy, change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.hello(0, 1)
		r.die(0, killed)
		r.die(2, Exit{Code: exitcode.Config, LastWords: "no root"}) // slot 0 is in quarantine
		r.signal(syscall.SIGTTOU)
		r.told(1, ipc.Serve{})
		const want = "number of workers stays 2: all slots but the last are quarantined; correct the cause, and send SIGHUP first"
		if last := r.reported[len(r.reported)-1]; last != want {
			t.Errorf("reported %q, want %q", last, want)
		}
		r.signal(syscall.SIGHUP)
		r.hello(3)
		r.hello(4)
		if !slices.Equal(r.slots, []int{0, 1, 0, 1, 0}) {
			t.Errorf("workers were started in slots %v, want [0 1 0 1 0]", r.slots)
		}
		r.signal(syscall.SIGTTOU)
		r.told(3, ipc.Serve{}, ipc.Drain{Queue: true})
		r.stop()
	})
}

// If the worker of a slot that is being closed is killed, another one serves the queue of
// the slot, and drains like the first.
func TestDeathInClosingSlot(t *testing.T) {
	s := &sockets{open: 2}
	runRig(t, 2, &rig{tweak: busy, change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGTTOU)
		s.expect(t, "steer [0 1]", "steer [0]")
		for _, i := range []int{1, 2} {
			r.told(i, ipc.Serve{}, ipc.Drain{Queue: true})
			r.die(i, killed)
			r.restarted(i + 1)
		}
		if !slices.Equal(r.slots, []int{0, 1, 1, 1}) {
			t.Errorf("workers were started in slots %v, want [0 1 1 1]", r.slots)
		}
		s.expect(t) // the socket stays open
		r.told(3, ipc.Serve{}, ipc.Drain{Queue: true})
		r.die(3, Exit{})
		s.expect(t, "shrink 1", "steer [0]")
		r.expect(4, "serving",
			"worker 1 (pid 102) died while draining: killed by SIGKILL; another takes over its queue; respawning",
			"worker 1 (pid 103) died while draining: killed by SIGKILL; another takes over its queue; respawning in 100ms")
		r.stop()
	})
}

// A slot that is being closed is closed without a worker if none can be started for it.
func TestClosingSlotIsGivenUp(t *testing.T) {
	s := &sockets{open: 2}
	runRig(t, 2, &rig{tweak: busy, change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGTTOU)
		r.die(1, killed)
		r.die(2, Exit{Code: exitcode.Config, LastWords: "no root"})
		s.expect(t, "steer [0 1]", "steer [0]", "shrink 1", "steer [0]")
		if last := r.reported[len(r.reported)-1]; last != "worker 1 (pid 103) died: exit status 78: no root; slot closed, connections in its queue are lost" {
			t.Error(last)
		}
		r.stop()
	})
}

// A slot that is being closed can be opened again, and keeps its socket.
func TestClosingSlotIsReopened(t *testing.T) {
	s := &sockets{open: 2}
	runRig(t, 2, &rig{tweak: busy, change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGTTOU)
		r.signal(syscall.SIGTTIN)
		r.hello(2)
		s.expect(t, "steer [0 1]", "steer [0]", "steer [0]", "steer [0 1]")
		r.told(2, ipc.Serve{})
		r.signal(syscall.SIGTTOU)
		r.die(2, Exit{})
		s.expect(t, "steer [0]") // the first worker of the slot still accepts from its queue
		r.die(1, Exit{})
		s.expect(t, "shrink 1", "steer [0]")
		r.expect(3, "serving")
		r.stop()
	})
}

// When the pool stops, a slot that is being closed ends too, with or without a worker.
func TestStopWhileClosing(t *testing.T) {
	for _, dies := range []bool{false, true} {
		s := &sockets{open: 2}
		runRig(t, 2, &rig{change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
			r.hello(0, 1)
			r.procs[1].busy = true
			r.signal(syscall.SIGTTOU)
			if dies {
				r.die(1, killed)
			}
			if dies {
				r.stopBefore(2)
			} else {
				r.signal(syscall.SIGTERM)
				r.signalled(1, syscall.SIGINT)
				r.die(1, Exit{})
			}
			r.ends(0, "")
		})
	}
}

// restarted waits until process i is started, and reports it ready.
func (r *rig) restarted(i int) {
	r.t.Helper()
	for waited := time.Duration(0); len(r.procs) <= i && waited <= longDelay; waited += firstDelay {
		r.pass(firstDelay)
	}
	r.hello(i)
}

// A slot whose workers die too often is quarantined while others serve, and gets another
// worker at the next reload.
func TestCrashBudget(t *testing.T) {
	s := &sockets{open: 2}
	runRig(t, 2, &rig{change: func(c *Config) { c.Sockets = s }}, func(r *rig) {
		r.hello(0, 1)
		for i := 1; i <= deathLimit; i++ {
			r.die(i, Exit{Signal: syscall.SIGSEGV})
			if i < deathLimit {
				r.restarted(i + 1)
			}
		}
		last := r.reported[len(r.reported)-1]
		want := fmt.Sprintf("worker 1 (pid %d) died: killed by SIGSEGV, %d deaths within 2m0s; slot quarantined until SIGHUP", 101+deathLimit, deathLimit)
		if last != want {
			t.Errorf("%q\nwant %q", last, want)
		}
		n := len(r.procs)
		r.pass(time.Hour)
		if len(r.procs) != n {
			t.Error("a worker was started in the quarantined slot")
		}
		r.signal(syscall.SIGHUP)
		r.hello(n)
		if len(r.procs) != n+2 || r.slots[n+1] != 1 {
			t.Fatalf("%d processes in slots %v, want %d, the last of them in slot 1", len(r.procs), r.slots, n+2)
		}
		r.hello(n + 1)
		r.die(0, Exit{})
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// The only slot that serves is never quarantined.
func TestLastSlotIsNotQuarantined(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		for i := range 2 * deathLimit {
			r.die(i, Exit{Code: 1})
			r.restarted(i + 1)
		}
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// The report of a killed worker says if it was probably killed by the OOM killer.
func TestOOM(t *testing.T) {
	var kills atomic.Int64
	runRig(t, 1, &rig{change: func(c *Config) { c.OOMKills = func() int { return int(kills.Load()) } }}, func(r *rig) {
		r.hello(0)
		r.pass(90 * time.Second)
		kills.Add(1)
		r.die(0, Exit{Signal: syscall.SIGKILL, Memory: 700 << 20})
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; probably killed by the OOM killer; "+
			"uptime 1m30s, peak memory 734 MB; respawning")
		r.stopBefore(1)
		r.ends(0, "")
	})
}

// If the master itself was suspended, even shortly, it does not treat a worker as hung
// before it had time to read the worker's messages.
func TestStandstill(t *testing.T) {
	for _, stop := range []time.Duration{100 * time.Millisecond, 900 * time.Millisecond, time.Minute} {
		r := &rig{tweak: busy, change: func(c *Config) {
			c.HangTimeout = 10 * time.Second
			c.After = func(d time.Duration) <-chan time.Time { return time.After(d + stop) }
		}}
		runRig(t, 1, r, func(r *rig) {
			r.hello(0)
			r.pass(10*time.Second + stop)
			r.signalled(0)
			r.send(ipc.Alive{}, 0)
			r.expect(1, "serving")
			r.pass(10*time.Second + stop)
			r.signalled(0)
			r.pass(stallTime + stop)
			r.signalled(0, syscall.SIGKILL)
			r.signal(syscall.SIGINT)
			r.hello(1)
			r.die(1, Exit{})
			r.ends(0, "")
		})
	}
}

// A standstill of the master does not shorten the time that a worker has for its next
// heartbeat.
func TestStandstillKeepsHangTimeout(t *testing.T) {
	var stop atomic.Int64
	r := &rig{tweak: busy, change: func(c *Config) {
		c.HangTimeout, c.AliveEvery = 10*time.Second, 2*time.Second
		c.After = func(d time.Duration) <-chan time.Time { return time.After(d + time.Duration(stop.Load())) }
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		stop.Store(int64(2 * time.Second))
		r.pass(5 * time.Second)
		stop.Store(0)
		for range 10 {
			r.pass(2400 * time.Millisecond)
			r.send(ipc.Alive{}, 0)
		}
		r.signalled(0)
		r.stop()
	})
}

// A worker that reports ready after the master decided to kill it replaces no other.
func TestReadyTooLate(t *testing.T) {
	runRig(t, 1, &rig{tweak: func(f *fake) { f.busy, f.stuck = true, f.pid == 102 }}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.pass(startTime)
		r.signalled(1, syscall.SIGKILL)
		r.hello(1)
		r.told(0, ipc.Serve{})
		r.told(1)
		r.die(1, Exit{Signal: syscall.SIGKILL})
		r.stop()
	})
}
