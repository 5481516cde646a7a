package supervise

import (
	"slices"
	"time"
)

// Restart policy. A first death is answered at once; deaths that follow each
// other wait twice as long each time, so that a worker that cannot live
// does not take the machine with it.
const (
	startTime   = 10 * time.Second      // from spawn to Ready, then SIGKILL
	lateTime    = 50 * time.Millisecond // an alarm that is heard later was not heard because the pool stood still
	stallTime   = time.Second           // what it gives a worker then
	closedTime  = 5 * time.Second       // from end-of-file to exit, then SIGKILL
	acceptTime  = 12 * time.Second      // what the worker of a slot that closes takes, see serve
	firstDelay  = 100 * time.Millisecond
	healthyTime = 10 * time.Second // a worker that was ready this long clears the record
	deathWindow = 2 * time.Minute
)

// slot is one place of the pool. Only the pool's goroutine touches it.
type slot struct {
	index   int
	state   state
	want    bool        // desired: a process that serves
	worker  *worker     // nil without one
	next    *worker     // that is to take its place and is not ready yet; nil without one
	deaths  int         // in a row
	recent  []time.Time // deaths within deathWindow
	retryAt time.Time

	kills     int       // of its replacements in a row, from outside
	orphaned  int       // times in a row that it was replaced for the connections of a dead worker
	replaceAt time.Time // when the next replacement may be started
}

// delay counts the death of w at now and returns how long to wait before the
// next process, in whole milliseconds. chance, from 0 to below 1, spreads the
// slots' times.
func (s *slot) delay(w *worker, now time.Time, chance float64) time.Duration {
	s.recent = slices.DeleteFunc(append(s.recent, now), func(t time.Time) bool { return now.Sub(t) >= deathWindow })
	if !w.readySince.IsZero() && now.Sub(w.readySince) >= healthyTime {
		s.deaths = 0
	}
	s.deaths++
	d := backoffAfter(s.deaths)
	return (d - time.Duration(chance*float64(d)/4)).Round(time.Millisecond)
}

// replaceForOrphans delays the replacement of a slot's worker by one that takes over the
// connections of a dead worker, unless it is the first in a row. Else workers that die of
// draining would follow each other without a pause.
func (s *slot) replaceForOrphans(now time.Time) {
	if now.Sub(s.replaceAt) >= healthyTime {
		s.orphaned = 0
	}
	s.orphaned++
	s.replaceAt = now.Add(backoffAfter(s.orphaned))
}

// backoffAfter returns how long to wait after so many deaths in a row: not after the
// first, then twice as long each time.
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
