package supervise

import (
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
)

// fakeKept stands for the descriptors kept of a worker. Its keeper ends when told to.
type fakeKept struct {
	pid        int // of its keeper; 0: there is none
	gone       chan struct{}
	stuck      bool          // its keeper does not end when it is told to
	ended      bool          // the keeper has ended before it was used
	left       int           // connections that cannot be rescued
	errors     []error       // of the next transfers
	unreadable bool          // its records are those of another version
	transfer   func()        // what Transfer does meanwhile; nil: nothing
	slow       chan struct{} // Close waits for it; nil: it does not wait
	closed     int
}

func (k *fakeKept) Greeted() (int, error) {
	if k.pid == 0 {
		return 0, io.EOF
	}
	return k.pid, nil
}

func (k *fakeKept) Use(int) error {
	if k.ended {
		return syscall.ESRCH
	}
	return nil
}

func (k *fakeKept) Wait()                      { <-k.gone }
func (k *fakeKept) Discard(int)                { k.Close() }
func (k *fakeKept) Lifeline() *rescue.Lifeline { return nil }
func (k *fakeKept) Readable() bool             { return !k.unreadable }
func (k *fakeKept) Transfer(int, rescue.Moving) (int, error) {
	if k.transfer != nil {
		k.transfer()
	}
	var err error
	if len(k.errors) > 0 {
		err, k.errors = k.errors[0], k.errors[1:]
	}
	return k.left, err
}

func (k *fakeKept) EndKeeper() {
	if k.stuck {
		return
	}
	select {
	case <-k.gone:
	default:
		close(k.gone)
	}
}

func (k *fakeKept) Close() {
	k.EndKeeper()
	if k.slow != nil {
		<-k.slow
	}
	k.closed++
}

// keeping returns a rig whose workers have keepers.
func keeping() *rig {
	return &rig{tweak: func(f *fake) { f.kept = &fakeKept{pid: 1000 + f.pid, gone: make(chan struct{})} }}
}

var killed = Exit{Signal: syscall.SIGKILL}

// If a worker dies during startup while it would take over the connections of another, the
// number of attempts with other workers is limited.
func TestRescueAttemptsAreLimited(t *testing.T) {
	runRig(t, 2, keeping(), func(r *rig) {
		r.hello(0, 1)
		r.die(0, killed)
		r.die(2, Exit{Code: exitcode.Config, LastWords: "no root"}) // its slot is in quarantine: slot 1 takes over
		for i := 3; i < len(r.procs) && i < 20; i++ {
			r.die(i, Exit{Code: exitcode.Config, LastWords: "no root"})
			r.started(i + 1)
		}
		if n := len(r.procs); n != 3+rescueCrashes {
			t.Errorf("%d workers were started, want %d", n, 3+rescueCrashes)
		}
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// After a reload that switches rescue off, a killed worker is replaced without a rescue.
func TestReloadWithoutRescue(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.tweak = nil
		r.die(0, killed)
		r.hello(1)
		r.expectServing(1)
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; respawning",
			"connections of worker 0 (pid 101) closed: rescue is off now")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

func (r *rig) expectServing(i int) {
	r.t.Helper()
	for _, m := range r.procs[i].sent {
		if m == (ipc.Serve{}) {
			return
		}
	}
	r.t.Errorf("process %d does not serve; it was sent %v", i, r.procs[i].sent)
}

// A slot may be closed while its next worker reports that it has taken over the
// connections of a dead one.
func TestSlotClosedDuringRescue(t *testing.T) {
	r := keeping()
	r.change = func(c *Config) { c.Sockets = &sockets{open: 2} }
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.procs[1].busy = true
		r.send(ipc.Recycle{Reason: "test"}, 1)
		r.hello(2)
		r.die(1, killed) // while it drains
		r.procs[3].stuck = true
		r.hello(3)
		r.signal(syscall.SIGTTOU)
		r.send(ipc.Rescued{Connections: 1}, 3)
		r.procs[3].stuck = false
		r.die(3, killed)
		r.hello(4) // in the remaining slot
		r.send(ipc.Rescued{Connections: 1}, 4)
		r.expectServing(4)
		r.die(2, Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// What a transfer reads is closed only after it, even if the pool stops meanwhile.
func TestTransferOutlivesPool(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		kept, more := r.procs[0].kept.(*fakeKept), make(chan struct{})
		kept.transfer = func() { <-more }
		r.die(0, killed)
		r.hello(1)
		r.send(ipc.Rescued{Connections: 1}, 1) // which it has not received yet
		if kept.closed != 0 {
			t.Error("closed during the transfer")
		}
		r.signal(syscall.SIGTERM)
		if kept.closed != 0 {
			t.Error("closed during a transfer that the stop has made superfluous")
		}
		close(more)
		if synctest.Wait(); kept.closed == 0 {
			t.Error("not closed after the transfer")
		}
		r.ends(0, "")
	})
}

// Closing what was kept of a worker may take long: only the end of the pool waits for it.
func TestSlowClose(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		kept := r.procs[0].kept.(*fakeKept)
		kept.slow = make(chan struct{})
		r.die(0, Exit{})
		r.started(1)
		r.hello(1)
		r.expectServing(1)
		r.signal(syscall.SIGTERM)
		close(kept.slow)
		r.ends(0, "")
	})
}

// While the keeper of a worker holds the listening socket of a slot that is being closed,
// the kernel still counts this socket: the master must not renumber the others.
func TestKeeperHoldsSocket(t *testing.T) {
	s := &sockets{open: 2}
	r := keeping()
	r.change = func(c *Config) { c.Sockets = s }
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		kept := r.procs[1].kept.(*fakeKept)
		r.procs[1].busy, kept.stuck = true, true
		r.signal(syscall.SIGTTOU)
		r.die(1, Exit{})
		s.expect(t, "steer [0 1]", "steer [0]")
		close(kept.gone)
		synctest.Wait()
		s.expect(t, "shrink 1", "steer [0]")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// The connections of a worker that is killed while its slot is being closed are taken over
// by the next worker of the slot, which hands them over.
func TestRescueInClosingSlot(t *testing.T) {
	s := &sockets{open: 2}
	r := keeping()
	r.change = func(c *Config) { c.Sockets = s }
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.procs[1].busy = true
		r.signal(syscall.SIGTTOU)
		r.die(1, killed)
		r.hello(2)
		r.told(2, ipc.Rescue{})
		r.procs[2].busy = true
		r.send(ipc.Rescued{Connections: 1}, 2)
		r.told(2, ipc.Rescue{}, ipc.Serve{}, ipc.Drain{Queue: true})
		r.die(2, Exit{})
		s.expect(t, "steer [0 1]", "steer [0]", "shrink 1", "steer [0]")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A transfer that fails halfway is tried again with another worker, after a pause, and
// counts as a failure of neither worker. Without the keeper it is not tried again.
func TestTransferFails(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		kept := r.procs[0].kept.(*fakeKept)
		for range rescueCrashes + 1 {
			kept.errors = append(kept.errors, unix.EMFILE)
		}
		r.die(0, killed)
		last := 1
		for ; len(kept.errors) > 0; last++ {
			r.started(last)
			r.hello(last)
		}
		r.started(last)
		kept.errors = []error{rescue.ErrKeeperGone}
		r.hello(last)
		r.send(ipc.Rescued{Connections: 3}, last)
		r.expectServing(last)
		want := []string{
			"serving",
			"worker 0 (pid 101) died: killed by SIGKILL; respawning",
			"worker 0 (pid 102) died: did not receive the connections of worker 0 (pid 101): too many open files, killed; respawning in 100ms",
		}
		if !slices.Equal(r.reported[:3], want) {
			t.Errorf("reported %q\nwant first %q", r.reported, want)
		}
		if line := r.reported[len(r.reported)-1]; !strings.Contains(line, "rescued 3 connections of worker 0 (pid 101)") || !strings.HasSuffix(line, "; the others are lost: the keeper is gone") {
			t.Errorf("reported %q, want 3 connections rescued and the others lost", line)
		}
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A rescue that cannot begin because the master is out of descriptors is tried again too, and
// counts as a failure of no worker.
func TestRescueCannotBegin(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		tweak := r.tweak
		r.tweak = func(f *fake) { tweak(f); f.noRights = true }
		r.die(0, killed)
		last := 1
		for ; last <= rescueCrashes; last++ {
			r.hello(last)
			r.signalled(last, syscall.SIGKILL)
			r.started(last + 1)
		}
		r.procs[last].noRights = false
		r.hello(last)
		r.told(last, ipc.Rescue{})
		r.send(ipc.Rescued{Connections: 1}, last)
		r.expectServing(last)
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// started waits until process i has been started.
func (r *rig) started(i int) {
	r.t.Helper()
	for waited := time.Duration(0); len(r.procs) <= i && waited <= longDelay; waited += firstDelay {
		r.pass(firstDelay)
	}
}

// A worker that reports a rescue before the transfer has ended is killed if the transfer fails.
func TestRescuedBeforeTransferFails(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		kept, more := r.procs[0].kept.(*fakeKept), make(chan struct{})
		kept.transfer, kept.errors = func() { <-more }, []error{unix.ETOOMANYREFS}
		r.die(0, killed)
		r.hello(1)
		r.send(ipc.Rescued{Connections: 1}, 1)
		close(more)
		synctest.Wait()
		r.signalled(1, syscall.SIGKILL)
		r.started(2)
		r.hello(2)
		r.send(ipc.Rescued{Connections: 2}, 2)
		r.expectServing(2)
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// Workers that are killed from outside while they take over connections are replaced more
// often than those that crash, and with a pause between them.
func TestKilledWhileTakingOver(t *testing.T) {
	runRig(t, 2, keeping(), func(r *rig) {
		r.hello(0, 1)
		r.procs[1].busy = true
		r.send(ipc.Recycle{Reason: "test"}, 1)
		r.hello(2)
		began := time.Now()
		r.die(1, killed) // while it drains: the next worker of slot 1 takes over
		for i := 3; i < 3+replaceKills; i++ {
			r.started(i)
			r.hello(i)
			r.die(i, killed)
		}
		if pause := time.Since(began); pause < 700*time.Millisecond {
			t.Errorf("%d workers were started within %v, want at least 700ms", replaceKills, pause)
		}
		last := len(r.procs)
		r.started(last)
		r.hello(last)
		r.send(ipc.Rescued{Connections: 1}, last)
		r.expectServing(last)
		r.die(2, Exit{})
		for _, line := range r.reported {
			if strings.Contains(line, "is not replaced") || strings.Contains(line, "closed") {
				t.Errorf("the rescue was given up: %s", line)
			}
		}
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// The records of a worker of another version cannot be read: its connections are lost.
func TestRecordsOfAnotherVersion(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.procs[0].kept.(*fakeKept).unreadable = true
		r.die(0, killed)
		r.hello(1)
		r.told(1, ipc.Serve{})
		r.expect(2, "serving", "worker 0 (pid 101) died: killed by SIGKILL; its connections are lost: its records are those of another version; respawning")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A replacement that is killed from outside does not end the reload.
func TestReplacementKilled(t *testing.T) {
	runRig(t, 1, keeping(), func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.die(1, killed)
		r.die(2, killed)
		r.started(3)
		r.hello(3)
		r.told(3, ipc.Serve{})
		r.expect(4, "serving",
			"worker 0 (pid 102) died during startup: killed by SIGKILL; starting another",
			"worker 0 (pid 103) died during startup: killed by SIGKILL; starting another in 100ms")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}
