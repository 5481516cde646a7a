// Package histogram counts durations in buckets that are linear within a
// decade and logarithmic across decades: 36 to a decade, from a microsecond to
// a thousand seconds. Each is at most a quarter as wide as the least duration in
// it, and every bound of the usual series 1, 2.5, 5 is one of its bounds.
package histogram

import "time"

const (
	perDecade = 36 // 1.00, 1.25, … 9.75
	decades   = 9  // from 1 µs up to 1000 s
	// Buckets is their number. The first also has what is shorter, the last what
	// is longer.
	Buckets = perDecade * decades
)

// Counts has for each bucket how many durations fell into it.
type Counts [Buckets]uint64

// Index returns the bucket of a duration.
func Index(d time.Duration) int {
	if d < time.Microsecond {
		return 0
	}
	step := time.Microsecond / 4
	for decade := range decades {
		if d < 40*step {
			return decade*perDecade + int(d/step) - 4
		}
		step *= 10
	}
	return Buckets - 1
}

// Lower returns the least duration of a bucket, 0 to Buckets; Lower(i+1) is the
// first that is too long for bucket i.
func Lower(i int) time.Duration {
	step := time.Microsecond / 4
	for range i / perDecade {
		step *= 10
	}
	return time.Duration(4+i%perDecade) * step
}

// Total is how many durations there are.
func (c *Counts) Total() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// Add adds the counts of o.
func (c *Counts) Add(o *Counts) {
	for i, k := range o {
		c[i] += k
	}
}

// Since returns what has come since the counts were before; a bucket that has
// become smaller counts as empty then.
func (c *Counts) Since(before *Counts) (d Counts) {
	for i, k := range c {
		if k > before[i] {
			d[i] = k - before[i]
		}
	}
	return d
}

// Below returns how many durations are below a bound, which must be that of a
// bucket.
func (c *Counts) Below(bound time.Duration) (n uint64) {
	for i, k := range c {
		if Lower(i+1) > bound {
			return n
		}
		n += k
	}
	return n
}

// Quantile returns the duration below which the share q of all are, 0 ≤ q ≤ 1,
// to the width of a bucket; 0 if there are none.
func (c *Counts) Quantile(q float64) time.Duration {
	total := c.Total()
	if total == 0 {
		return 0
	}
	rank := q * float64(total)
	seen := 0.0
	for i, k := range c {
		if k > 0 && seen+float64(k) >= rank {
			low, high := Lower(i), Lower(i+1)
			return low + time.Duration((rank-seen)/float64(k)*float64(high-low))
		}
		seen += float64(k)
	}
	return Lower(Buckets)
}
