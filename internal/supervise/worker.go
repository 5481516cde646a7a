package supervise

import (
	"fmt"
	"time"

	"phalanx/internal/ipc"
)

// worker is one process, from its start until its exit has been handled. It has a slot of its own
// until it is detached, and then it only drains. Only the pool's goroutine touches it.
type worker struct {
	slot   *slot
	proc   Process // nil if it could not be started
	pid    int     // pid of proc, or 0
	binary string  // path of its binary; "" if the previous program of the master started it

	started     time.Time
	reload      int // number of reloads when it was started as a replacement, or to try new settings; 0: neither, or before any
	readySince  time.Time
	deadline    time.Time     // when proc is killed, or reported if it was and has not exited; zero: never
	killReason  string        // why it will be killed at the deadline, or was killed
	drainBy     time.Time     // time limit of its drain, at which it is killed too; zero: none
	spared      bool          // deadline was put off because the master had been stopped for a while
	killed      bool          // the pool sent SIGKILL
	killedAt    time.Time     // when it did so first
	signalled   bool          // the pool sent SIGINT
	saidDrain   bool          // it reported a drain that the pool did not order
	version     string        // version that it reported
	movable     bool          // it can take connections over, and hand its own over
	handingOver bool          // it hands its connections over
	successor   *worker       // worker that takes them over; nil: dead, or none yet
	lastOwner   bool          // no other worker has its listening socket
	failed      *ipc.Failed   // error that it reported before it exited
	remaining   ipc.Remaining // what it still has to do, as last reported
	remainingAt time.Time     // time of that report
	rate        float64       // bytes per second between the last two reports
	row         int           // row of the scoreboard; -1: none
	generation  int           // number of processes that the slot has had, including this one
	connections int           // connections that it had when it died, as last counted
	request     string        // request that it was serving when it died, or ""
	deathTold   bool          // its death was reported in a line, so the log has no other
	listing     *listing      // request that waits for the list of its connections
	keeper      int           // pid of the process that keeps its descriptors; 0: none
	unkeptUntil time.Time     // when it is to be replaced again because its keeper has exited; zero: never
	blameless   bool          // it was killed through no fault of its own
	invalid     bool          // it was killed because of an invalid message
	loss        string        // why its connections could not be kept when it died, or ""
	sandbox     string        // as in package status; "": none
	queueEmpty  bool          // it drains, and accepts no more connections
	queueLeft   bool          // it drains, and another worker must serve its accept queue
	share       int           // number of slots that it was told; 0: none yet
	served      bool          // it was sent Serve, or has taken over connections
	exited      bool
	credentials uint32    // ID of the credentials that it uses
	offered     int       // how many sets of credentials it was sent and has not refused
	rescuing    *orphaned // connections that it takes over before it serves; nil: none
	rescued     *orphaned // connections that it has taken over; nil: none
}

// detached reports whether the worker has lost its slot.
func (w *worker) detached() bool { return w.slot.worker != w && w.slot.next != w }

// canHandOver reports whether w can hand its connections over to another worker, which must be of
// the same version to understand their state.
func (w *worker) canHandOver(to *worker) bool {
	return to != nil && w.movable && to.movable && w.version == to.version
}

// draining reports whether the worker drains, and may take all the time it needs.
func (w *worker) draining() bool { return w.detached() || w.slot.state == draining }

func (w *worker) String() string {
	if w.pid == 0 {
		return fmt.Sprintf("worker %d", w.slot.index)
	}
	return fmt.Sprintf("worker %d (pid %d)", w.slot.index, w.pid)
}
