package password

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// attempts returns how many wrong and waiting attempts a client has; 0 for one without an address.
func (c *Checker) attempts(from netip.Prefix, now time.Time) int {
	if !from.IsValid() {
		return 0
	}
	n, _ := c.wrong.get(from, now)
	for _, j := range c.queue {
		if j.client == from {
			n++
		}
	}
	return n
}

// tried returns the number of attempts of a job's client, including this job.
func (c *Checker) tried(j *job, now time.Time) int { return max(1, c.attempts(j.client, now)) }

// next removes the job whose client has the fewest attempts from the queue, the first of
// several. So a client that guesses passwords does not delay others.
func (c *Checker) next() *job {
	now := c.Now()
	j := slices.MinFunc(c.queue, func(a, b *job) int { return cmp.Compare(c.tried(a, now), c.tried(b, now)) })
	c.unqueue(j)
	return j
}

func (c *Checker) unqueue(j *job) {
	c.queue = slices.DeleteFunc(c.queue, func(other *job) bool { return other == j })
}

// makeRoom drops the job whose client has the most attempts from a full queue, if they are
// more than tried, the attempts of the client that needs room.
func (c *Checker) makeRoom(tried int, now time.Time) bool {
	var j *job
	most := 0
	for _, other := range c.queue {
		if n := c.tried(other, now); n >= most {
			j, most = other, n
		}
	}
	if most <= tried {
		return false
	}
	c.unqueue(j)
	j.outcome = Busy
	c.answer(j)
	return true
}
