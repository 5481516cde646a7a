package supervise

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/ipc"
)

// A keeper that ended while the master executed its new program is missed, and the end of
// the worker is not waited for as that of its keeper.
func TestKeeperEndsDuringUpgrade(t *testing.T) {
	r := keeping()
	var old *fake
	r.change = func(c *Config) {
		kept := &fakeKept{gone: make(chan struct{}), ended: true}
		close(kept.gone)
		old = &fake{mu: &r.mu, pid: 11, stubborn: true, kept: kept, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
		c.Resume = &State{Wanted: 1, Slots: 1, Workers: []WorkerState{{Handle: Handle{PID: 11}, Keeper: 12, Version: "1", Started: time.Now(), Ready: time.Now()}}}
		c.Reattach = func(int, Handle) (Process, error) { return old, nil }
	}
	runRig(t, 1, r, func(r *rig) {
		if len(r.procs) != 1 {
			t.Fatalf("%d replacements", len(r.procs))
		}
		r.begin(0)
		old.die(Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A worker whose keeper has ended is replaced by one that has another.
func TestKeeperEnds(t *testing.T) {
	r := keeping()
	tweak := r.tweak
	r.tweak = func(f *fake) { tweak(f); f.stubborn = true }
	runRig(t, 1, r, func(r *rig) {
		r.begin(0)
		r.procs[0].kept.EndKeeper()
		synctest.Wait()
		if len(r.procs) != 2 {
			t.Fatalf("%d processes", len(r.procs))
		}
		r.begin(1)
		r.die(0, Exit{})
		r.signal(syscall.SIGTERM)
		r.die(1, Exit{})
		r.ends(0, "")
	})
}

// A worker has one keeper: another that it names could be one that never ends.
func TestSecondKeeper(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.begin(0)
		r.say(ipc.Keeper{PID: 2000}, 0)
		r.signalled(0, syscall.SIGKILL)
		r.begin(1)
		r.say(ipc.Rescued{}, 1)
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
		if d := strings.Join(r.diary, " "); !strings.Contains(d, "named process 2000 as its keeper: it has a keeper") {
			t.Errorf("diary %q", d)
		}
	})
}
