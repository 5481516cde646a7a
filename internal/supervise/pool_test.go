package supervise

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/ipc"
)

// A killed worker is replaced at once, in the same slot.
func TestRestartAtOnce(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(0, 1)
		r.die(1, Exit{Signal: syscall.SIGKILL})
		r.expect(3, "serving", "worker 1 (pid 102) died: killed by SIGKILL; respawning")
		if r.slots[2] != 1 {
			t.Errorf("the replacement was started in slot %d, want 1", r.slots[2])
		}
		r.told(2)
		r.hello(2)
		r.told(2, ipc.Serve{})
		r.signal(syscall.SIGINT)
		r.ends(0, "")
		r.signalled(2, syscall.SIGINT)
	})
}

// A worker that exits by itself, without an error, is replaced without an alert.
func TestCleanExit(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		r.die(0, Exit{})
		r.expect(2, "serving")
		r.stopBefore(1)
		r.ends(0, "")
	})
}

// The delay before a respawn doubles with each death, up to 10 s; a worker that was
// healthy for a while resets it.
func TestBackoff(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		delays := []time.Duration{0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000}
		for i, d := range delays {
			d *= time.Millisecond
			r.die(i, Exit{Code: 1})
			if d > 0 {
				r.pass(d - time.Millisecond)
				if len(r.procs) != i+1 {
					t.Fatalf("death %d: restarted before %v", i+1, d)
				}
				if got, want := r.reported[len(r.reported)-1], fmt.Sprintf("worker 0 (pid %d) died: exit status 1; respawning in %v", 101+i, d); got != want {
					t.Errorf("alert %q, want %q", got, want)
				}
				r.pass(time.Millisecond)
			}
			if len(r.procs) != i+2 {
				t.Fatalf("death %d: not restarted after %v", i+1, d)
			}
		}
		// Ten seconds of healthy serving reset the delay.
		r.hello(len(delays))
		r.pass(healthyTime)
		r.die(len(delays), Exit{Code: 1})
		if len(r.procs) != len(delays)+2 {
			t.Error("a worker that died after it was healthy is not respawned at once")
		}
		r.stopBefore(len(delays) + 1)
		r.ends(0, "")
	})
}

// The delay is reported in whole milliseconds.
func TestBackoffInMilliseconds(t *testing.T) {
	runRig(t, 1, &rig{change: func(c *Config) { c.Chance = func() float64 { return 0.7735171 } }}, func(r *rig) {
		r.hello(0)
		r.die(0, Exit{Code: 1})
		r.die(1, Exit{Code: 1})
		r.expect(2, "serving", "worker 0 (pid 101) died: exit status 1; respawning", "worker 0 (pid 102) died: exit status 1; respawning in 81ms")
		r.pass(firstDelay)
		r.stopBefore(2)
		r.ends(0, "")
	})
}

// If the worker binary was replaced by another program, the alert says so rather than
// reporting a clean exit. Each exit counts as a death.
func TestOtherProgram(t *testing.T) {
	r := &rig{}
	_, d := r.controller(func(*Config) {})
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.die(0, Exit{Code: 1})
		r.die(1, Exit{})
		r.expect(2, "serving", "worker 0 (pid 101) died: exit status 1; it was at; row 0; respawning",
			"worker /bin/worker: not a worker of Phalanx 1 (exit status 0); build it with make, or name it with --worker PATH; respawning in 100ms")
		r.pass(firstDelay)
		if _, v := r.look(*d); v.Totals[0] != (Totals{Generations: 3, Deaths: 2}) {
			t.Errorf("the totals are %+v, want 3 generations and 2 deaths", v.Totals[0])
		}
		r.stopBefore(2)
		r.ends(0, "")
	})
}

// A stop does not wait for a slot whose workers keep dying.
func TestStopDuringBackoff(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		const deaths = 6 // the next process would be started after 1.6 s
		for i := range deaths {
			r.started(i)
			r.die(i, Exit{Code: 1})
		}
		r.signal(syscall.SIGINT)
		r.ends(0, "")
		if len(r.procs) != deaths {
			t.Error("a process was started during the stop")
		}
	})
}

// A worker that cannot start for a configuration error quarantines its slot; the pool ends
// with the last slot.
func TestQuarantine(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(0, 1)
		r.die(0, Exit{Signal: syscall.SIGKILL})
		r.send(ipc.Failed{ExitCode: 78, Reason: "open root: gone"}, 2)
		r.die(2, Exit{Code: 78})
		r.pass(time.Hour)
		died := "worker 0 (pid 101) died: killed by SIGKILL; respawning"
		gaveUp := "worker 0 (pid 103) died: open root: gone; slot quarantined until SIGHUP"
		r.expect(3, "serving", died, gaveUp)
		r.die(1, Exit{Signal: syscall.SIGKILL})
		r.die(3, Exit{Code: 78, LastWords: "phalanx: same here"})
		r.ends(78, "worker 1 (pid 104) died: exit status 78: same here; no worker is left")
		r.expect(4, "serving", died, gaveUp, "worker 1 (pid 102) died: killed by SIGKILL; uptime 1h0m0s; respawning", "drain")
	})
}

// A drain without a timeout may take long, also after the worker has closed its channel.
func TestLongDrain(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy}, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGINT)
		r.die(0, Exit{})
		r.procs[1].gone <- fmt.Errorf("closed early")
		r.pass(24 * time.Hour)
		r.signalled(1, syscall.SIGINT)
		r.die(1, Exit{})
		r.ends(0, "")
		r.expect(2, "serving", "drain")
	})
}

// Workers that die while the pool stops make it fail: the error names one and counts the rest.
func TestCrashInDrain(t *testing.T) {
	runRig(t, 3, &rig{tweak: busy}, func(r *rig) {
		r.hello(0, 1, 2)
		r.signal(syscall.SIGINT)
		r.die(0, Exit{Signal: syscall.SIGKILL})
		r.die(1, Exit{Code: 1})
		r.die(2, Exit{})
		r.ends(1, "worker 0 (pid 101) died while draining: killed by SIGKILL; its responses were truncated (and 1 more)")
		r.expect(3, "serving", "drain")
	})
}

// The second SIGINT or SIGTERM stops immediately; the hang-up of the terminal is not counted.
func TestStopImmediately(t *testing.T) {
	runRig(t, 2, &rig{tweak: busy, change: func(c *Config) { c.HungUp = func() bool { return true } }}, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGINT) // the first signal that stops
		r.signalled(0, syscall.SIGINT)
		r.signal(syscall.SIGTERM)
		r.ends(130, "stopped immediately: requests under way were aborted")
		r.signalled(0, syscall.SIGINT, syscall.SIGKILL)
		r.signalled(1, syscall.SIGINT, syscall.SIGKILL)
	})
}

// Two signals to stop that arrive together count as one: requests under way are finished.
func TestSameSignalTwice(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGINT)
		r.signals <- syscall.SIGINT
		r.signals <- syscall.SIGTERM
		synctest.Wait()
		r.signalled(0, syscall.SIGINT)
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// A pool can be stopped while workers are starting; SIGINT may kill such a worker.
func TestStopWhileStarting(t *testing.T) {
	runRig(t, 3, &rig{tweak: busy}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGINT)
		r.die(0, Exit{})
		r.die(1, Exit{Signal: syscall.SIGINT})
		r.hello(2) // SIGINT came too late, or was ignored until now
		r.signalled(2, syscall.SIGINT, syscall.SIGINT)
		r.told(2)
		r.die(2, Exit{})
		r.ends(0, "")
		r.expect(3, "drain")
	})
}

// A worker that does not become ready in time is killed, also during a stop.
func TestStuckStartIsKilled(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		r.signal(syscall.SIGINT)
		r.pass(startTime)
		r.ends(78, "worker /bin/worker: does not behave like a worker of Phalanx 1 (not ready within 10s, killed); build it with make, or name it with --worker PATH")
	})
}

// A child that a dead worker left behind holds the channel open: the error of the channel
// is not reported as the cause of the death.
func TestChannelOutlivesWorker(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		r.hello(0)
		r.procs[0].gone <- fmt.Errorf("receive: %w", os.ErrDeadlineExceeded)
		synctest.Wait()
		r.signalled(0)
		r.die(0, Exit{Signal: syscall.SIGKILL})
		r.hello(1)
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; respawning")
		r.stop()
	})
}
