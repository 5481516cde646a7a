package password

import (
	"slices"
	"time"
)

// tried is how often the client of a job has tried, with this time. One without an address
// counts as if it had not before.
func (c *Checker) tried(j *job, now time.Time) int {
	n, _ := c.wrong.get(j.client, now)
	return max(1, n)
}

// next takes the job from the queue whose client has tried least, of several the first: who
// guesses does not keep others waiting.
func (c *Checker) next() *job {
	now, best := c.Now(), 0
	for i, j := range c.queue {
		if c.tried(j, now) < c.tried(c.queue[best], now) {
			best = i
		}
	}
	j := c.queue[best]
	c.queue = slices.Delete(c.queue, best, best+1)
	return j
}

// makeRoom drops the last job from a full queue whose client has tried most, if that is more
// than a client has that wants its place.
func (c *Checker) makeRoom(tried int, now time.Time) bool {
	worst := 0
	for i, j := range c.queue {
		if c.tried(j, now) >= c.tried(c.queue[worst], now) {
			worst = i
		}
	}
	j := c.queue[worst]
	if c.tried(j, now) <= tried {
		return false
	}
	c.queue = slices.Delete(c.queue, worst, worst+1)
	c.attempt(j.client, -1, now)
	j.outcome = Busy
	c.answer(j)
	return true
}
