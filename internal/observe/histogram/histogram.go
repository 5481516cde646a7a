// Package histogram counts durations in buckets that are linear within a decade and
// logarithmic across decades: 36 per decade, from 1 µs to 1000 s. The width of a
// bucket is at most a quarter of its lower bound, and 1, 2.5 and 5 of each decade are
// bounds.
package histogram

import "time"

const (
	perDecade = 36 // 1.00, 1.25, … 9.75
	decades   = 9  // from 1 µs up to 1000 s
	// Buckets is the number of buckets. The first also counts shorter durations,
	// the last longer ones.
	Buckets = perDecade * decades
)

// Counts has the number of durations in each bucket.
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

// Lower returns the lower bound of a bucket, 0 to Buckets; Lower(i+1) is the
// exclusive upper bound of bucket i.
func Lower(i int) time.Duration {
	step := time.Microsecond / 4
	for range i / perDecade {
		step *= 10
	}
	return time.Duration(4+i%perDecade) * step
}

// Total returns the number of durations.
func (c *Counts) Total() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// Since returns the difference from earlier counts; a bucket that has decreased
// counts as empty then.
func (c *Counts) Since(before *Counts) (d Counts) {
	for i, k := range c {
		if k > before[i] {
			d[i] = k - before[i]
		}
	}
	return d
}

// Below returns the number of durations below a bound, which must be the bound of a
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

// Quantile returns the q-quantile, 0 ≤ q ≤ 1, interpolated within its bucket; 0 if
// there are no durations.
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
