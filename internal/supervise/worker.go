package supervise

import (
	"fmt"
	"time"

	"phalanx/internal/ipc"
)

// worker is one process, from its start until its exit is accounted for. It
// has a slot to itself until it is detached, and then it only drains. Only the
// pool's goroutine touches it.
type worker struct {
	slot   *slot
	proc   Process // nil if it could not be started
	pid    int     // of proc, or 0
	binary string  // the path of what it executes; "" if the program before started it

	started     time.Time
	reload      int // how many there had been when it was started
	readySince  time.Time
	deadline    time.Time     // when proc is killed; zero: never
	killReason  string        // why it is killed then, or was
	drainBy     time.Time     // when it is killed too; zero: never
	spared      bool          // deadline was put off because the pool had stood still
	killed      bool          // the pool sent SIGKILL
	signalled   bool          // the pool sent SIGINT, once is enough
	saidDrain   bool          // it reported a drain that the pool did not order
	version     string        // as it said
	movable     bool          // it can take connections over, and hand its own over
	handingOver bool          // it hands its connections over
	successor   *worker       // to this one; nil when that has died, or was not there
	lastOwner   bool          // no other worker has its listening socket
	failed      *ipc.Failed   // what it said before it exited
	remaining   ipc.Remaining // what it still has to do, as last reported
	remainingAt time.Time     // when
	rate        float64       // bytes per second between the last two reports
	row         int           // of the scoreboard; -1: none
	generation  int           // how many processes the slot had had, this one included
	connections int           // that it had when it died, as last counted
	request     string        // that it was serving then; ""
	deathTold   bool          // a line reports its death, so the log has no other
	listing     *listing      // who waits for the list of its connections
	keeper      int           // pid of the process that keeps its descriptors; 0: none
	blameless   bool          // it was killed for no fault of its own
	guilty      bool          // it was killed for what it said
	loss        string        // why its connections could not be kept when it died; ""
	sandbox     string        // as in package status; "": none
	queueEmpty  bool          // it drains, and accepts no more
	queueLeft   bool          // it drains, and another has to serve its accept queue
	share       int           // of how many slots it was told; 0: of none
	served      bool          // it was sent Serve, or has taken over connections
	exited      bool
	credentials uint32    // the ID of those that it uses
	offered     int       // credentials that it was sent, and has not refused
	rescuing    *orphaned // the connections that it takes over before it serves; nil: none
	rescued     *orphaned // those that it has taken over; nil: none
}

// detached reports that the slot is no longer this worker's.
func (w *worker) detached() bool { return w.slot.worker != w && w.slot.next != w }

// canHandOver reports whether w can hand its connections over to another worker,
// which has to be of its version: only that knows their state.
func (w *worker) canHandOver(to *worker) bool {
	return to != nil && w.movable && to.movable && w.version == to.version
}

// draining reports whether it may take all the time it needs.
func (w *worker) draining() bool { return w.detached() || w.slot.state == draining }

func (w *worker) String() string {
	if w.pid == 0 {
		return fmt.Sprintf("worker %d", w.slot.index)
	}
	return fmt.Sprintf("worker %d (pid %d)", w.slot.index, w.pid)
}
