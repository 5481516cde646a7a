package supervise

import (
	"fmt"
	"time"

	"phalanx/internal/ipc"
)

// worker is one process, from its start until its exit is settled. It has a
// slot to itself unless it has left it, and then it only finishes. Only the
// pool's goroutine touches it.
type worker struct {
	slot *slot
	proc Process // nil if it could not be started
	pid  int     // of proc, or 0

	started    time.Time
	readySince time.Time
	deadline   time.Time   // then proc is killed; zero is never
	overdue    string      // why it is killed then, or was
	killed     bool        // the pool sent SIGKILL
	signalled  bool        // the pool sent SIGINT, once is enough
	draining   bool        // it said so itself
	failed     *ipc.Failed // what it said before it went
}

// leaving reports that the slot is no longer this worker's.
func (w *worker) leaving() bool { return w.slot.worker != w }

// finishing reports that it may take all the time it needs.
func (w *worker) finishing() bool { return w.leaving() || w.slot.state == draining }

func (w *worker) String() string {
	if w.pid == 0 {
		return fmt.Sprintf("worker %d", w.slot.index)
	}
	return fmt.Sprintf("worker %d (pid %d)", w.slot.index, w.pid)
}
