package supervise

import (
	"slices"
	"syscall"
	"testing"

	"phalanx/internal/exitcode"
)

// unready returns a rig whose reloads have other settings, and what notes the processes that were
// started with them and how often they were put in force.
func unready(slots int) (r *rig, d **Controller, fresh *[]int, applied *int) {
	r, fresh, applied = &rig{}, new([]int), new(int)
	_, d = r.controller(func(c *Config) {
		settings := Settings{Slots: slots, Worker: "/new/worker", Applied: func() { *applied++ }}
		settings.Spawn = func(slot, row int) (Process, error) {
			*fresh = append(*fresh, len(r.procs))
			return r.start(slot, row)
		}
		c.Reload = func() (Settings, error) { return settings, nil }
	})
	return r, d, fresh, applied
}

// If no worker becomes ready with the settings in force, a reload gives its settings to the next one.
func TestReloadWithoutReadyWorker(t *testing.T) {
	r, d, fresh, applied := unready(1)
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.die(0, Exit{Code: 1})
		answer := asked((*d).Reload)
		r.die(1, killed) // says nothing about the settings in force
		r.started(2)
		r.die(2, Exit{Code: 1})
		r.started(3)
		pending(t, answer)
		r.die(3, killed) // nor about the new ones
		r.started(4)
		pending(t, answer)
		r.hello(4)
		answered(t, answer, true, "1 worker replaced")
		if !slices.Equal(*fresh, []int{3, 4}) || *applied != 1 || len(r.procs) != 5 {
			t.Errorf("of %d processes %v had the new settings, which were applied %d times; want 5, [3 4], once", len(r.procs), *fresh, *applied)
		}
		r.stop()
	})
}

// If its worker does not become ready either, the reload fails, and the settings in force remain.
func TestReloadWithoutReadyWorkerFails(t *testing.T) {
	r, d, fresh, applied := unready(1)
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.die(0, Exit{Code: 1})
		r.die(1, Exit{Code: 1})
		answer := asked((*d).Reload)
		r.started(2)
		r.die(2, Exit{Code: exitcode.Config})
		answered(t, answer, false, "reload: worker 0 (pid 103) died: exit status 78")
		r.started(3)
		if !slices.Equal(*fresh, []int{2}) || *applied != 0 || len(r.procs) != 4 {
			t.Errorf("of %d processes %v had the new settings, which were applied %d times; want 4, [2], never", len(r.procs), *fresh, *applied)
		}
		r.stopBefore(3)
		r.ends(0, "")
	})
}

// One worker at a time gets the new settings. When it is ready, quarantined slots get them too.
func TestReloadRevivesPool(t *testing.T) {
	r, d, fresh, applied := unready(3)
	runRig(t, 3, r, func(r *rig) {
		r.hello(0, 1, 2)
		r.die(2, Exit{Code: 1})
		r.die(3, Exit{Code: exitcode.Config}) // quarantined
		r.die(0, Exit{Code: 1})
		r.die(4, Exit{Code: 1})
		r.die(1, Exit{Code: 1})
		r.die(5, Exit{Code: 1})
		answer := asked((*d).Reload)
		r.started(7)
		r.die(7, Exit{Code: 1})
		pending(t, answer)
		r.hello(6)
		r.started(9)
		r.hello(8, 9)
		answered(t, answer, true, "3 workers replaced")
		if !slices.Equal(*fresh, []int{6, 8, 9}) || *applied != 1 || len(r.procs) != 10 {
			t.Errorf("of %d processes %v had the new settings, which were applied %d times; want 10, [6 8 9], once", len(r.procs), *fresh, *applied)
		}
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}
