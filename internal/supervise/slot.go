package supervise

import (
	"slices"
	"time"
)

// Respawn policy. After the first death the slot gets a new process at once. With each further
// death in a row the backoff doubles, so that a worker that always dies does not load the machine.
const (
	startTime   = 10 * time.Second      // limit from spawn to Ready, then SIGKILL
	lateTime    = 50 * time.Millisecond // delay of an alarm that shows that the master was stopped for a while
	stallTime   = time.Second           // further time for a worker in that case
	closedTime  = 5 * time.Second       // limit from end-of-file to exit, then SIGKILL
	killedTime  = 5 * time.Second       // limit from SIGKILL to exit, then a line
	acceptTime  = 12 * time.Second      // time for the last owner of a socket to accept; see serve
	firstDelay  = 100 * time.Millisecond
	healthyTime = 10 * time.Second // a worker that was ready this long resets the backoff
	deathWindow = 2 * time.Minute
)

// slot is one place of the pool. Only the pool's goroutine touches it.
type slot struct {
	index   int
	state   state
	want    bool        // desired state: true for a process that serves
	worker  *worker     // nil: none
	next    *worker     // replacement that is not ready yet; nil: none
	deaths  int         // deaths in a row
	recent  []time.Time // deaths within deathWindow
	retryAt time.Time
	unready bool // its last worker with the settings in force died before it was ready

	kills     int       // replacements in a row that were killed from outside
	rescuers  int       // replacements in a row that took over connections of a dead worker
	replaceAt time.Time // when the next replacement may be started
}

// delay counts the death of w at now, and returns the backoff before the next process, in whole
// milliseconds. chance, from 0 to below 1, is jitter between the slots.
func (s *slot) delay(w *worker, now time.Time, chance float64) time.Duration {
	s.recent = slices.DeleteFunc(append(s.recent, now), func(t time.Time) bool { return now.Sub(t) >= deathWindow })
	if !w.readySince.IsZero() && now.Sub(w.readySince) >= healthyTime {
		s.deaths = 0
	}
	s.deaths++
	d := backoffAfter(s.deaths)
	return (d - time.Duration(chance*float64(d)/4)).Round(time.Millisecond)
}

// replaceForOrphans delays a replacement that takes over the connections of a dead worker, unless
// it is the first in a row. Otherwise workers that die while they drain would follow each other
// without a pause.
func (s *slot) replaceForOrphans(now time.Time) {
	if now.Sub(s.replaceAt) >= healthyTime {
		s.rescuers = 0
	}
	s.rescuers++
	s.replaceAt = now.Add(backoffAfter(s.rescuers))
}

// backoffAfter returns the backoff after so many deaths in a row: 0 after the first, firstDelay
// after the second, then twice as long each time, up to longDelay.
func backoffAfter(deaths int) time.Duration {
	if deaths < 2 {
		return 0
	}
	d := firstDelay
	for n := 2; n < deaths && d < longDelay; n++ {
		d *= 2
	}
	return min(d, longDelay)
}
