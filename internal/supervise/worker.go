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
	slot   *slot
	proc   Process // nil if it could not be started
	pid    int     // of proc, or 0
	binary string  // the path of what it executes; "" if the program before started it

	started    time.Time
	reload     int // how many there had been when it was started
	readySince time.Time
	deadline   time.Time     // then proc is killed; zero is never
	overdue    string        // why it is killed then, or was
	drainBy    time.Time     // then it is killed too; zero is never
	killed     bool          // the pool sent SIGKILL
	signalled  bool          // the pool sent SIGINT, once is enough
	draining   bool          // it said so itself
	version    string        // as it said
	heir       bool          // it can take connections over, and hand its own over
	giving     bool          // it gives its connections away
	taker      *worker       // to this one; nil when that has died, or was not there
	queue      bool          // its listening socket has no other owner
	failed     *ipc.Failed   // what it said before it went
	left       ipc.Remaining // what it still has to do, as it last said
	leftAt     time.Time     // when
	rate       float64       // bytes per second between the last two
	row        int           // of the scoreboard; -1: none
	generation int           // how many processes the slot had had, this one included
	doing      string        // what it was at when it died, for a line; or ""
	asked      *listing      // who waits for the list of its connections
	release    func() error  // closes its listening socket when it has gone, if not nil
}

// leaving reports that the slot is no longer this worker's.
func (w *worker) leaving() bool { return w.slot.worker != w && w.slot.next != w }

// canGive reports whether the connections of w can go on in another worker: what
// travels between them is the business of their version alone.
func (w *worker) canGive(to *worker) bool {
	return to != nil && w.heir && to.heir && w.version == to.version
}

// finishing reports that it may take all the time it needs.
func (w *worker) finishing() bool { return w.leaving() || w.slot.state == draining }

func (w *worker) String() string {
	if w.pid == 0 {
		return fmt.Sprintf("worker %d", w.slot.index)
	}
	return fmt.Sprintf("worker %d (pid %d)", w.slot.index, w.pid)
}
