package serve

import "time"

// Rate is the bandwidth limit of a connection. The zero value is no limit.
type Rate struct {
	Bytes int64 // per second; 0: no limit
	After int64 // burst in bytes, at first and after the connection was idle
}

// RateTick is how long a connection at its limit waits. The time is the same for all, so they
// continue in the order in which they stopped.
const RateTick = 100 * time.Millisecond

// rateBurst limits the bytes that accumulate while a connection waits to those of one second,
// so that a late wake-up does not lower the rate.
const rateBurst = time.Second

// Bucket is the token bucket of a connection.
type Bucket struct {
	left float64       // bytes; negative: more was sent than allowed
	at   time.Duration // time of the last refill
	dry  bool          // all was sent: the few bytes of the next microseconds are not worth a system call
}

// Limited reports whether there is a limit.
func (r Rate) Limited() bool { return r.Bytes > 0 }

// Bucket returns the bucket of a new connection.
func (r Rate) Bucket(now time.Duration) Bucket {
	return Bucket{left: max(float64(r.After), r.in(RateTick)), at: now}
}

func (r Rate) in(d time.Duration) float64 { return float64(r.Bytes) * d.Seconds() }

// Allow returns how many bytes may be sent now; 0: none. Once all have been sent, those of half a
// [RateTick] must accumulate.
func (b *Bucket) Allow(r Rate, now time.Duration) int64 {
	most := max(float64(r.After), r.in(rateBurst))
	b.left = min(most, b.left+r.in(max(0, now-b.at)))
	b.at = now
	if b.dry = b.dry && b.left < r.in(RateTick)/2; b.dry {
		return 0
	}
	return int64(max(0, b.left))
}

// Sent subtracts sent bytes. They may exceed what was allowed; the next ones then wait longer.
func (b *Bucket) Sent(n int) {
	b.left -= float64(n)
	b.dry = b.dry || b.left < 1
}

// Empty empties the bucket.
func (b *Bucket) Empty(now time.Duration) { *b = Bucket{at: now, dry: true} }

// Again returns when a waiting connection may send again.
func (b *Bucket) Again() time.Duration { return b.at + RateTick }
