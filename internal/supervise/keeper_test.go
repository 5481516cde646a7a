package supervise

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

// A worker whose keeper ended while the master executed its new program is replaced, and
// the end of the worker is handled without its keeper.
func TestKeeperEndsDuringUpgrade(t *testing.T) {
	r := keeping()
	var old *fake
	r.change = func(c *Config) {
		kept := &fakeKept{gone: make(chan struct{}), ended: true}
		close(kept.gone)
		old = &fake{mu: &r.mu, pid: 11, busy: true, kept: kept, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
		c.Resume = &State{Wanted: 1, Slots: 1, Workers: []WorkerState{{Handle: Handle{PID: 11}, Keeper: 12, Version: "1", Started: time.Now(), Ready: time.Now()}}}
		c.Reattach = func(int, Handle) (Process, error) { return old, nil }
	}
	runRig(t, 1, r, func(r *rig) {
		if len(r.procs) != 1 {
			t.Fatalf("%d replacements started, want 1", len(r.procs))
		}
		r.hello(0)
		old.die(Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A worker that has lost its keeper before an upgrade is replaced in the end, also if the reload after
// the upgrade fails.
func TestNoKeeperAfterUpgrade(t *testing.T) {
	r := keeping()
	var old *fake
	r.change = func(c *Config) {
		kept := &fakeKept{gone: make(chan struct{})}
		close(kept.gone)
		old = &fake{mu: &r.mu, pid: 11, busy: true, kept: kept, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
		c.Resume = &State{Wanted: 1, Slots: 1, Workers: []WorkerState{{Handle: Handle{PID: 11}, Version: "1", Started: time.Now(), Ready: time.Now()}}}
		c.Reattach = func(int, Handle) (Process, error) { return old, nil }
	}
	runRig(t, 1, r, func(r *rig) {
		r.die(0, Exit{Code: 1})
		r.pass(unkeptTime)
		r.hello(1)
		old.die(Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// keepingBusy is keeping with workers that do not exit by themselves.
func keepingBusy() *rig {
	r := keeping()
	tweak := r.tweak
	r.tweak = func(f *fake) { tweak(f); f.busy = true }
	return r
}

// A worker whose keeper has ended is replaced by one that has a keeper.
func TestKeeperEnds(t *testing.T) {
	runRig(t, 1, keepingBusy(), func(r *rig) {
		r.hello(0)
		r.procs[0].kept.EndKeeper()
		synctest.Wait()
		if len(r.procs) != 2 {
			t.Fatalf("%d processes started, want 2", len(r.procs))
		}
		r.hello(1)
		r.die(0, Exit{})
		r.signal(syscall.SIGTERM)
		r.die(1, Exit{})
		r.ends(0, "")
	})
}

// If the replacement of a worker whose keeper has ended dies, another follows.
func TestReplacementWithoutKeeperDies(t *testing.T) {
	runRig(t, 1, keepingBusy(), func(r *rig) {
		r.hello(0)
		r.procs[0].kept.EndKeeper()
		synctest.Wait()
		r.die(1, Exit{Code: 1})
		r.pass(unkeptTime)
		r.hello(2)
		r.die(0, Exit{})
		r.pass(unkeptTime)
		r.signal(syscall.SIGTERM)
		r.die(2, Exit{})
		r.ends(0, "")
		if len(r.procs) != 3 {
			t.Errorf("%d processes started, want 3", len(r.procs))
		}
	})
}

// Orphans are reaped when a keeper has been: it may have hidden that one has ended.
func TestOrphanBehindKeeper(t *testing.T) {
	reaped := 0
	r := keeping()
	r.reap = func(func(pid int) bool) error { reaped++; return nil }
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		before := reaped
		r.procs[0].kept.EndKeeper()
		if synctest.Wait(); reaped != before+1 {
			t.Errorf("reaped %d times at the end of a keeper, want once", reaped-before)
		}
		r.hello(1)
		r.die(0, Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A worker that reports ready must have a keeper: a living process that is no worker and
// no keeper of another.
func TestInvalidKeeper(t *testing.T) {
	const other = "process %d is a worker, or the keeper of another"
	for _, tt := range []struct {
		pid  int
		says string
	}{
		{0, "EOF"}, {101, fmt.Sprintf(other, 101)}, {102, fmt.Sprintf(other, 102)}, {1101, fmt.Sprintf(other, 1101)},
		{7, "no such process"},
	} {
		runRig(t, 2, keeping(), func(r *rig) {
			kept := &fakeKept{pid: tt.pid, gone: make(chan struct{}), ended: true}
			r.procs[1].kept = kept
			r.hello(0, 1)
			r.signalled(1, syscall.SIGKILL)
			if kept.closed != 1 {
				t.Errorf("keeper %d: the records were closed %d times, want once", tt.pid, kept.closed)
			}
			r.ends(exitcode.Config, "worker /bin/worker: does not behave like a worker of Phalanx 1 (is ready without a keeper: "+tt.says+", killed); build it with make, or name it with --worker PATH")
		})
	}
}
