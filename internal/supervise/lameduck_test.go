package supervise

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// A lame duck still serves for a while, but is not ready.
func TestLameDuck(t *testing.T) {
	r := &rig{tweak: busy}
	r.change = func(c *Config) {
		c.LameDuck = 10 * time.Second
		c.OnLameDuck = func() { c.Alert("lame") }
	}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGTERM)
		r.die(0, Exit{Signal: syscall.SIGSEGV})
		r.hello(1) // it serves as before
		r.pass(10*time.Second - time.Millisecond)
		r.signalled(1)
		r.pass(time.Millisecond)
		r.signalled(1, syscall.SIGINT)
		r.expect(2, "serving", "lame", "worker 0 (pid 101) died: killed by SIGSEGV; respawning", "drain")
		r.die(1, Exit{})
		r.ends(0, "")
	})
}

// During lame duck, a second signal starts the drain, and a third one stops immediately.
func TestSignalsEndLameDuck(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy, change: func(c *Config) { c.LameDuck = time.Hour }}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGINT)
		r.signalled(0)
		r.signal(syscall.SIGINT)
		r.signalled(0, syscall.SIGINT)
		r.signal(syscall.SIGINT)
		r.signalled(0, syscall.SIGINT, syscall.SIGKILL)
		r.ends(130, "stopped immediately: requests under way were aborted")
	})
}

// The hang-up of a terminal starts a drain at most, whatever signals came before.
func TestHangUpDoesNotForce(t *testing.T) {
	r := &rig{tweak: busy, change: func(c *Config) {
		c.LameDuck, c.HungUp = time.Hour, func() bool { return true }
	}}
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGTERM)
		r.signal(syscall.SIGTERM)
		r.signal(syscall.SIGHUP)
		r.signal(syscall.SIGHUP)
		r.signalled(0, syscall.SIGINT)
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// OnReload is called at the start and the end of a reload, OnAlive at intervals.
func TestReloadAndAliveCallbacks(t *testing.T) {
	var calls []string
	alive := 0
	r := &rig{change: func(c *Config) {
		c.OnReload = func(begun bool, failed string) {
			call := map[bool]string{true: "begun", false: "ended"}[begun]
			if failed != "" {
				call += ": " + failed
			}
			calls = append(calls, call)
		}
		c.OnAlive, c.AliveEvery = func() { alive++ }, 5*time.Second
	}}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.signal(syscall.SIGHUP)
		r.hello(2)
		if !slices.Equal(calls, []string{"begun"}) {
			t.Errorf("OnReload was called for %q, want begun", calls)
		}
		r.hello(3)
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.signal(syscall.SIGHUP)
		r.die(4, Exit{Signal: syscall.SIGSEGV})
		r.signal(syscall.SIGHUP) // its beginning is no failure
		want := []string{"begun", "ended", "begun", "ended: worker 0 (pid 105) died during startup: killed by SIGSEGV; worker 0 (pid 103) is not replaced", "begun"}
		if !slices.Equal(calls, want) {
			t.Errorf("OnReload was called for %q, want %q", calls, want)
		}
		r.pass(50 * time.Second)
		if alive < 10 || alive > 12 {
			t.Errorf("OnAlive was called %d times in 50 s, want 10 to 12", alive)
		}
		r.signal(syscall.SIGINT)
		r.ends(0, "")
	})
}
