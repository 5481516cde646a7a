package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
)

// rows stands for the rows of a scoreboard, and records what is opened and closed.
type rows struct {
	notes []string
	next  int
	full  bool
}

func (o *rows) Open(slot int) (int, error) {
	if o.full {
		return -1, errors.New("no row is left")
	}
	o.next++
	o.notes = append(o.notes, fmt.Sprintf("open %d for %d", o.next-1, slot))
	return o.next - 1, nil
}

func (o *rows) Close(row int) error {
	o.notes = append(o.notes, fmt.Sprintf("close %d", row))
	return nil
}

func (o *rows) Doing(row int) (int, string) { return row, fmt.Sprintf("it was at\nrow %d", row) }

// asked gives a command in a goroutine of its own, and returns the channel of its outcome.
func asked(order func(context.Context) status.Outcome) <-chan status.Outcome {
	answer := make(chan status.Outcome, 1)
	go func() { answer <- order(context.Background()) }()
	synctest.Wait()
	return answer
}

// pending checks that a command has no outcome yet.
func pending(t *testing.T, answer <-chan status.Outcome) {
	t.Helper()
	synctest.Wait()
	select {
	case o := <-answer:
		t.Errorf("the command has its outcome already: %+v", o)
	default:
	}
}

// answered checks the outcome of a command.
func answered(t *testing.T, answer <-chan status.Outcome, ok bool, message string) {
	t.Helper()
	synctest.Wait()
	select {
	case o := <-answer:
		if o.OK != ok || o.Message != message {
			t.Errorf("outcome %v, %q; want %v, %q", o.OK, o.Message, ok, message)
		}
	default:
		t.Errorf("the command has no outcome, want %q", message)
	}
}

// controller gives the pool of the rig a controller and rows.
func (r *rig) controller(more func(*Config)) (*rows, **Controller) {
	o, d := &rows{}, new(*Controller)
	r.change = func(c *Config) {
		*d = NewController()
		c.Controller, c.Rows = *d, o
		if more != nil {
			more(c)
		}
	}
	return o, d
}

// look returns the view of the pool, and its state and workers as text.
func (r *rig) look(d *Controller) (string, View) {
	var seen, has []int
	v, err := d.View(context.Background(), func(pid int) { seen = append(seen, pid) })
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, w := range v.Workers {
		if w.PID != 0 {
			has = append(has, w.PID)
		}
		all = append(all, fmt.Sprintf("%d:%d %s g%d row%d", w.Slot, w.PID, w.State, w.Generation, w.Row))
	}
	if !slices.Equal(seen, has) {
		r.t.Errorf("the view showed the processes %v, and has %v", seen, has)
	}
	return v.State + " " + strings.Join(all, ", "), v
}

// A worker that exits while a view is taken is reaped after that: until then /proc has what the totals
// of its slot do not have yet.
func TestViewBeforeReaping(t *testing.T) {
	r := &rig{}
	_, d := r.controller(nil)
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		v, err := (*d).View(r.t.Context(), func(int) {
			if r.die(0, Exit{CPU: time.Second}); r.procs[0].reaped {
				t.Error("it is reaped before the view is complete")
			}
		})
		if synctest.Wait(); err != nil || v.Totals[0].CPU != 0 || !r.procs[0].reaped {
			t.Errorf("%v, totals %+v, reaped %t", err, v.Totals[0], r.procs[0].reaped)
		}
		if _, v = r.look(*d); v.Totals[0].CPU != time.Second {
			t.Errorf("then totals %+v", v.Totals[0])
		}
		r.stop()
	})
}

// The view of a pool has the state of the pool and its workers, and the totals of its slots.
func TestView(t *testing.T) {
	r := &rig{tweak: busy}
	o, d := r.controller(func(c *Config) { c.Queue = func(slot int) (int, int) { return slot + 5, 128 } })
	runRig(t, 2, r, func(r *rig) {
		check := func(want string) View {
			t.Helper()
			got, v := r.look(*d)
			if got != want {
				t.Errorf("the pool is %s\nwant %s", got, want)
			}
			return v
		}
		check("starting 0:101 starting g1 row0, 1:102 starting g1 row1")
		r.hello(0, 1)
		v := check("serving 0:101 serving g1 row0, 1:102 serving g1 row1")
		if v.Slots != 2 || v.Workers[1].Queue != 6 || v.Workers[1].QueueMax != 128 || v.Workers[0].Started.IsZero() {
			t.Errorf("the view is %+v, want 2 slots, a queue of 6 of 128 and the start of each worker", v)
		}
		r.signal(syscall.SIGHUP)
		check("serving 0:103 starting g2 row2, 0:101 serving g1 row0, 1:102 serving g1 row1")
		r.hello(2)
		v = check("serving 0:103 serving g2 row2, 0:101 draining g1 row0, 1:104 starting g2 row3, 1:102 serving g1 row1")
		if v.Workers[1].Queue != 0 {
			t.Error("a draining worker still has a queue")
		}
		r.hello(3)
		r.die(0, Exit{CPU: 3 * time.Second})
		r.die(1, Exit{Code: 1, CPU: time.Second})
		r.die(2, Exit{Signal: syscall.SIGSEGV, CPU: 4 * time.Second})
		v = check("serving 0:105 starting g3 row4, 1:104 serving g2 row3")
		if v.Totals[0] != (Totals{3, 1, 7 * time.Second}) || v.Totals[1] != (Totals{2, 1, time.Second}) || v.Reloads != 1 {
			t.Errorf("the totals are %+v", v.Totals)
		}
		want := []string{"open 0 for 0", "open 1 for 1", "open 2 for 0", "open 3 for 1", "close 0", "close 1", "close 2", "open 4 for 0"}
		if !slices.Equal(o.notes, want) {
			t.Errorf("the calls on the rows were %q\nwant %q", o.notes, want)
		}
		if last := r.reported[len(r.reported)-1]; !strings.Contains(last, "; 2 connections lost; it was at; row 2; respawning") {
			t.Errorf("the death was reported as %q, want the connections lost and the request", last)
		}
		r.signal(syscall.SIGTERM)
		check("draining 0:105 starting g3 row4, 1:104 draining g2 row3")
		r.die(4, Exit{})
		r.die(3, Exit{})
		r.ends(0, "")
		if _, err := (*d).View(context.Background(), nil); !errors.Is(err, ErrEnded) {
			t.Errorf("View after the end: %v, want %v", err, ErrEnded)
		}
		if out := (*d).Reload(context.Background()); out.OK || out.Message != "the pool has ended" {
			t.Errorf("a reload after the end: %+v, want a failure", out)
		}
		if out := (*d).Stop(context.Background()); !out.OK {
			t.Errorf("a stop after the end: %+v, want success", out)
		}
	})
}

// The accept queue of a slot in backoff is in the view while an earlier worker of the slot drains.
func TestQueueInBackoff(t *testing.T) {
	r := &rig{tweak: busy}
	_, d := r.controller(func(c *Config) { c.Queue = func(int) (int, int) { return 5, 128 } })
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.send(ipc.Draining{}, 0)
		for _, i := range []int{1, 2} { // the first that dies is replaced at once
			r.hello(i)
			r.die(i, Exit{Code: 1})
		}
		got, v := r.look(*d)
		if want := "serving 0:0 backoff g0 row-1, 0:101 draining g1 row0"; got != want || v.Workers[0].Queue != 5 {
			t.Errorf("the pool is %s, with %d connections in the queue\nwant %s, with 5", got, v.Workers[0].Queue, want)
		}
		r.pass(time.Second)
		r.hello(3)
		r.stop()
	})
}

// A worker serves even if no row is free for it.
func TestNoRow(t *testing.T) {
	r := &rig{}
	o, d := r.controller(nil)
	o.full = true
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		if got, _ := r.look(*d); got != "serving 0:101 serving g1 row-1" {
			t.Errorf("the pool is %s, want a worker without a row", got)
		}
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
		if len(o.notes) > 0 {
			t.Errorf("the calls on the rows were %q, want none", o.notes)
		}
	})
}

// The outcome of a reload command comes when all workers are replaced, or names the error.
func TestReloadCommand(t *testing.T) {
	var refuse error
	r := &rig{tweak: busy}
	_, d := r.controller(func(c *Config) {
		settings := c.Settings
		c.Reload = func() (Settings, error) { return settings, refuse }
	})
	runRig(t, 2, r, func(r *rig) {
		answered(t, asked((*d).Reload), false, "reload: the pool is not serving yet; send SIGHUP again when it is")
		r.hello(0, 1)
		answer := asked((*d).Reload)
		r.hello(2)
		pending(t, answer)
		r.hello(3)
		answered(t, answer, true, "2 workers replaced")
		refuse = errors.New("--port x: no number")
		answered(t, asked((*d).Reload), false, "reload: --port x: no number; keeping the current workers")
		if v, err := (*d).View(context.Background(), nil); err != nil || v.Failed != "reload: --port x: no number; keeping the current workers" {
			t.Errorf("the view has the failure %q (%v), want that of the reload", v.Failed, err)
		}
		refuse = nil
		answer = asked((*d).Reload)
		r.die(4, Exit{Code: 1, LastWords: "no"})
		answered(t, answer, false, "worker /bin/worker: not a worker of Phalanx 1 (exit status 1: no); build it with make, or name it with --worker PATH; worker 0 (pid 103) is not replaced")
		answer = asked((*d).Reload)
		pending(t, answer)
		r.signal(syscall.SIGTERM)
		answered(t, answer, false, "the pool is stopping")
		answered(t, asked((*d).Reload), false, "the pool is stopping")
		for i := range r.procs {
			r.die(i, Exit{})
		}
		r.ends(0, "")
	})
}

// The outcome of a scale command comes when the pool has that number of serving workers,
// or says why it does not.
func TestScaleCommand(t *testing.T) {
	s := &sockets{open: 1}
	r := &rig{tweak: busy}
	_, d := r.controller(func(c *Config) { c.Sockets = s })
	runRig(t, 1, r, func(r *rig) {
		to := func(n int) func(context.Context) status.Outcome {
			return func(ctx context.Context) status.Outcome { return (*d).Scale(ctx, n) }
		}
		r.hello(0)
		answer := asked(to(3))
		r.hello(1)
		pending(t, answer)
		r.hello(2)
		answered(t, answer, true, "3 workers serving")
		answered(t, asked(to(1)), true, "1 worker serving")
		answered(t, asked(to(0)), false, "at least one worker is needed; stop the server with SIGTERM")
		answered(t, asked(to(5000)), false, "1024 workers is the maximum")
		answer = asked(to(2))
		pending(t, answer)
		r.die(3, Exit{Code: 78})
		answered(t, answer, false, "1 of 2 workers serving; the others are quarantined, see the log")
		answered(t, asked(to(1)), true, "1 worker serving")
		first := asked(to(3)) // its workers are not ready when the next command comes
		second := asked(to(1))
		answered(t, first, false, "a later order has set the number of workers to 1")
		r.hello(4, 5)
		answered(t, second, true, "1 worker serving")
		for i := 1; i < len(r.procs); i++ {
			r.die(i, Exit{})
		}
		s.full = true
		answered(t, asked(to(2)), false, "number of workers stays 1: too many open files")
		answered(t, asked((*d).Stop), true, "draining")
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// A stop command begins the lame duck and then the drain; repeated, it never forces a stop.
func TestStopCommand(t *testing.T) {
	r := &rig{tweak: busy}
	_, d := r.controller(func(c *Config) { c.LameDuck = 5 * time.Second })
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		answered(t, asked((*d).Stop), true, "lame duck for 5s, then draining")
		if got, _ := r.look(*d); got != "lame-duck 0:101 serving g1 row0" {
			t.Errorf("the pool is %s, want it in lame duck", got)
		}
		r.pass(2 * time.Second)
		answered(t, asked((*d).Stop), true, "lame duck for 3s, then draining")
		r.pass(3 * time.Second)
		answered(t, asked((*d).Stop), true, "draining")
		r.pass(sameSignal)
		answered(t, asked((*d).Stop), true, "draining")
		r.signalled(0, syscall.SIGINT)
		r.signal(syscall.SIGTERM) // the first signal
		r.signalled(0, syscall.SIGINT)
		r.signal(syscall.SIGTERM)
		r.ends(130, "stopped immediately: requests under way were aborted")
	})
}

// The command that lists connections asks the right worker, and fails if it dies.
func TestListCommand(t *testing.T) {
	r := &rig{tweak: busy}
	_, d := r.controller(nil)
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		list := func(slot, pid int) <-chan error {
			answer := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				answer <- (*d).List(ctx, slot, pid, 0)
			}()
			synctest.Wait()
			return answer
		}
		if err := <-list(0, 102); !errors.Is(err, status.ErrNoWorker) {
			t.Errorf("list of a worker of another slot: %v, want %v", err, status.ErrNoWorker)
		}
		answer := list(1, 102)
		r.told(1, ipc.Serve{}, ipc.Show{ID: 1})
		r.send(ipc.Shown{ID: 8}, 1) // for a command that has been given up
		r.send(ipc.Shown{ID: 1}, 1)
		if err := <-answer; err != nil {
			t.Error(err)
		}
		first := list(1, 102)
		second := list(1, 102)
		if err := <-first; err == nil {
			t.Error("the first of two lists at once succeeded, want an error")
		}
		r.die(1, Exit{Signal: syscall.SIGSEGV})
		if err := <-second; !errors.Is(err, status.ErrNoWorker) {
			t.Errorf("list of a worker that died: %v, want %v", err, status.ErrNoWorker)
		}
		slow := list(0, 101)
		r.pass(3 * time.Second)
		if err := <-slow; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("list of a worker that does not respond: %v, want %v", err, context.DeadlineExceeded)
		}
		r.signal(syscall.SIGTERM)
		for i := range r.procs {
			r.die(i, Exit{})
		}
		r.ends(0, "")
	})
}

// A worker that asked for its replacement, and whose replacement did not start, is no failed reload.
func TestRecyclingFails(t *testing.T) {
	r := &rig{tweak: busy}
	_, d := r.controller(nil)
	runRig(t, 1, r, func(r *rig) {
		const line = "worker /bin/worker: not a worker of Phalanx 1 (exit status 1); build it with make, or name it with --worker PATH; worker 0 (pid 101) is not replaced"
		failed := func(want string) {
			t.Helper()
			if v, err := (*d).View(r.t.Context(), nil); err != nil || v.Failed != want {
				t.Errorf("the failed reload is %q (%v), want %q", v.Failed, err, want)
			}
		}
		r.hello(0)
		r.send(ipc.Recycle{Reason: "9 requests"}, 0)
		r.die(1, Exit{Code: 1})
		r.expect(2, "serving", line)
		failed("")
		r.signal(syscall.SIGHUP)
		r.die(2, Exit{Code: 1})
		r.expect(3, "serving", line, line)
		failed(line)
		r.signal(syscall.SIGTERM)
		r.die(0, Exit{})
		r.ends(0, "")
	})
}
