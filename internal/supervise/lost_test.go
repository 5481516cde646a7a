package supervise

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
	"phalanx/internal/rescue"
)

// A worker whose connections are all lost counts as a failed rescue, with the connections that were
// counted last.
func TestLostConnectionsAreCounted(t *testing.T) {
	endKeeper := func(r *rig) {
		r.procs[2].kept.EndKeeper()
		synctest.Wait()
		r.die(2, killed)
		r.hello(3)
	}
	keeperGone := func(m ipc.Rescued, left int) func(*rig) {
		return func(r *rig) {
			kept := r.procs[2].kept.(*fakeKept)
			kept.errors, kept.left = []error{rescue.ErrKeeperGone}, left
			r.die(2, killed)
			r.hello(3)
			r.send(m, 3)
		}
	}
	for name, tt := range map[string]struct {
		lose func(*rig)
		want status.Rescue
	}{
		"keeper before worker": {endKeeper, status.Rescue{GivenUp: 1, Lost: 2}},
		"other version": {func(r *rig) {
			r.procs[2].kept.(*fakeKept).unreadable = true
			r.die(2, killed)
			r.hello(3)
		}, status.Rescue{GivenUp: 1, Lost: 2}},
		"keeper after worker": {keeperGone(ipc.Rescued{}, 0), status.Rescue{GivenUp: 1, Lost: 2}},
		"one was rescued":     {keeperGone(ipc.Rescued{Connections: 1}, 0), status.Rescue{Workers: 1, Connections: 1, Lost: 1}},
		"others are not lost": {keeperGone(ipc.Rescued{Connections: 1, Reset: 1}, 1), status.Rescue{Workers: 1, Connections: 1, Reset: 1, Unmovable: 1}},
		"workers kept dying": {func(r *rig) {
			r.die(2, killed)
			for i := 3; i < 3+rescueCrashes; i++ {
				r.started(i)
				r.hello(i)
				r.die(i, Exit{Code: exitcode.Failure})
			}
			r.started(3 + rescueCrashes)
			r.hello(3 + rescueCrashes)
		}, status.Rescue{GivenUp: 1, Lost: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			r := keeping()
			_, d := r.controller(nil)
			runRig(t, 3, r, func(r *rig) {
				r.hello(0, 1, 2)
				tt.lose(r)
				if _, v := r.look(*d); v.Rescue != tt.want {
					t.Errorf("counted %+v, want %+v", v.Rescue, tt.want)
				}
				r.signal(syscall.SIGTERM)
				r.ends(0, "")
			})
		})
	}
}

// Connections that nobody keeps are lost too, unless the operator limits the drain.
func TestConnectionsLostWithoutRescue(t *testing.T) {
	r := &rig{tweak: busy}
	_, d := r.controller(func(c *Config) { c.DrainTimeout = time.Minute })
	runRig(t, 3, r, func(r *rig) {
		expect := func(want status.Rescue) {
			t.Helper()
			if _, v := r.look(*d); v.Rescue != want {
				t.Errorf("counted %+v, want %+v", v.Rescue, want)
			}
		}
		r.hello(0, 1, 2)
		r.send(ipc.Recycle{Reason: "test"}, 1)
		r.hello(3)
		r.pass(time.Minute)
		r.signalled(1, syscall.SIGKILL)
		r.die(0, Exit{})
		r.hello(4)
		expect(status.Rescue{})
		r.die(2, killed)
		r.hello(5)
		expect(status.Rescue{GivenUp: 1, Lost: 2})
		r.stop()
	})
}
