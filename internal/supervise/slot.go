package supervise

import (
	"time"

	"phalanx/internal/ipc"
)

// Restart policy. A first death is answered at once; deaths that follow each
// other wait twice as long each time, so that a worker that cannot live
// does not take the machine with it.
const (
	startTime   = 10 * time.Second // from spawn to Ready, then SIGKILL
	goneTime    = 5 * time.Second  // from end-of-file to exit, then SIGKILL
	firstDelay  = 100 * time.Millisecond
	longDelay   = 10 * time.Second
	healthyTime = 10 * time.Second // a worker that was ready this long clears the record
)

// slot is one place of the pool. Only the pool's goroutine touches it.
type slot struct {
	index int
	state state
	want  bool // desired: a process that serves

	proc       Process // nil without one
	pid        int     // of proc, or of the last one
	started    time.Time
	readySince time.Time
	deadline   time.Time   // then proc is killed; zero is never
	overdue    string      // why it is killed then, or was
	killed     bool        // the pool sent SIGKILL
	signalled  bool        // SIGINT was sent; a second would stop it at once
	failed     *ipc.Failed // what proc said before it left

	deaths  int // in a row
	retryAt time.Time
}

// clear forgets the process.
func (s *slot) clear() {
	s.proc = nil
	s.deadline = time.Time{}
	s.overdue = ""
	s.killed = false
	s.signalled = false
	s.failed = nil
	s.readySince = time.Time{}
}

// delay counts a death at now and returns how long to wait before the next
// process.
func (s *slot) delay(now time.Time) time.Duration {
	if !s.readySince.IsZero() && now.Sub(s.readySince) >= healthyTime {
		s.deaths = 0
	}
	s.deaths++
	if s.deaths == 1 {
		return 0
	}
	d := firstDelay
	for n := 2; n < s.deaths && d < longDelay; n++ {
		d *= 2
	}
	return min(d, longDelay)
}
