package supervise

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/observe/status"
)

// reportedOnce expects a line after the given time, not before, and no other within a minute.
func reportedOnce(r *rig, after time.Duration, line string) {
	r.t.Helper()
	r.pass(after - time.Millisecond)
	r.expect(1, "serving")
	r.pass(time.Minute)
	r.expect(1, "serving", line)
}

// A reload whose settings cannot be read because a disk does not respond is reported, its
// command is answered, and it continues when the disk responds.
func TestSettingsNotRead(t *testing.T) {
	const line = "reload: the settings have not been read within 10s; check the disks of the config file, the document roots and the certificates; the reload continues when they respond"
	var gate chan struct{}
	var control *Controller
	r := &rig{change: func(c *Config) {
		gate, control = make(chan struct{}), NewController()
		settings := c.Settings
		c.Controller, c.Reload = control, func() (Settings, error) {
			<-gate
			return settings, nil
		}
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		reportedOnce(r, loadTime, line)
		if v, err := control.View(r.t.Context(), nil); err != nil || v.Failed != line {
			t.Errorf("the failed reload is %q (%v), want %q", v.Failed, err, line)
		}
		close(gate)
		synctest.Wait()
		r.hello(1)
		if v, err := control.View(r.t.Context(), nil); err != nil || v.Failed != "" {
			t.Errorf("after the reload, the failed one is %q (%v), want none", v.Failed, err)
		}
		r.expect(2, "serving", line)
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// An upgrade that has to wait reports once what it waits for.
func TestUpgradeWaits(t *testing.T) {
	r := &rig{tweak: busy, change: func(c *Config) {
		c.Exec = func(State) error { return errors.New("no such file") }
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.mu.Lock()
		r.spawn = func(int) error { return syscall.ENOENT }
		r.mu.Unlock()
		r.die(0, Exit{Code: 1})
		r.signal(syscall.SIGUSR2)
		r.pass(upgradeTime + time.Second)
		r.signal(syscall.SIGUSR2)
		waits := 0
		for _, line := range r.reported {
			if line == "upgrade: still waiting, because slot 0 has no worker that serves" {
				waits++
			}
		}
		if waits != 1 {
			t.Errorf("reported %d times, want once: %q", waits, r.reported)
		}
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}

// An upgrade whose check does not end, because a disk does not respond, is reported once.
func TestUpgradeCheckWaits(t *testing.T) {
	const line = "upgrade: still waiting, because the new program is being checked; check the disks of the config file, the document roots and the certificates"
	var gate chan struct{}
	r := &rig{change: func(c *Config) {
		gate = make(chan struct{})
		c.Check = func(context.Context) error {
			<-gate
			return errors.New("no such file")
		}
		c.Exec = func(State) error { return nil }
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGUSR2)
		reportedOnce(r, upgradeTime, line)
		close(gate)
		synctest.Wait()
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A worker that was killed and does not exit, because a dead disk holds it in the kernel, is reported
// once, does not count as serving, and holds up orders until it has exited.
func TestKilledDoesNotExit(t *testing.T) {
	const line = "worker 0 (pid 101): hung: no heartbeat for 10s; it was killed 5s ago and has not exited; check the disk that it waits for"
	r := &rig{tweak: func(f *fake) { f.stuck = f.pid == 101 }}
	_, d := r.controller(func(c *Config) {
		c.Sockets, c.HangTimeout, c.Queue = &sockets{open: 1}, 10*time.Second, func(int) (int, int) { return 3, 128 }
	})
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.pass(10 * time.Second)
		if got, v := r.look(*d); got != "serving 0:101 killed g1 row0" || v.Workers[0].Queue != 3 {
			t.Errorf("the pool is %s with %d connections waiting, want a killed worker and its queue of 3", got, v.Workers[0].Queue)
		}
		scaled := asked(func(ctx context.Context) status.Outcome { return (*d).Scale(ctx, 1) })
		reportedOnce(r, killedTime, line)
		pending(t, scaled)
		if _, v := r.look(*d); v.Workers[0].Killed != 64.999 {
			t.Errorf("the worker was killed %v s ago, want 64.999 s", v.Workers[0].Killed)
		}
		r.die(0, Exit{Signal: syscall.SIGKILL})
		r.hello(1)
		answered(t, scaled, true, "1 worker serving")
		r.expect(2, "serving", line, "worker 0 (pid 101) died: hung: no heartbeat for 10s, killed; uptime 1m15s; it was at; row 0; respawning")
		r.stop()
	})
}
