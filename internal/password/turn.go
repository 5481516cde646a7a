package password

import (
	"slices"
	"time"
)

// tried returns the number of attempts of a job's client, including this job: 1 for a client
// without an address.
func (c *Checker) tried(j *job, now time.Time) int {
	n, _ := c.wrong.get(j.client, now)
	return max(1, n)
}

// next removes the job whose client has the fewest attempts from the queue, the first of
// several. So a client that guesses passwords does not delay others.
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

// makeRoom drops the job whose client has the most attempts from a full queue, if they are
// more than tried, the attempts of the client that needs room.
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
