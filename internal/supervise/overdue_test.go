package supervise

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
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
		if v, err := control.View(r.t.Context()); err != nil || v.Failed != line {
			t.Errorf("the failed reload is %q (%v), want %q", v.Failed, err, line)
		}
		close(gate)
		synctest.Wait()
		r.hello(1)
		if v, err := control.View(r.t.Context()); err != nil || v.Failed != "" {
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
