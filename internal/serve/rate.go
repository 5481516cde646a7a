package serve

import "time"

// Rate bounds how fast each connection sends. Its zero value does not.
type Rate struct {
	Bytes int64 // a second; 0: any
	After int64 // bytes that are sent at once, at first and after the connection was idle
}

// RateTick is how long a connection waits that has sent as much as it may. All wait for
// equally long, so they continue in the order in which they began to.
const RateTick = 100 * time.Millisecond

// rateBurst is how much may be sent at once after a wait: what comes in a second, so that
// one that ends late costs no rate.
const rateBurst = time.Second

// Bucket is what a connection may send (a token bucket).
type Bucket struct {
	left float64       // bytes; negative: they were sent before they might be
	at   time.Duration // when that was so
}

// Limited reports whether there is a bound.
func (r Rate) Limited() bool { return r.Bytes > 0 }

// Bucket returns that of a new connection.
func (r Rate) Bucket(now time.Duration) Bucket {
	return Bucket{max(float64(r.After), r.in(RateTick)), now}
}

func (r Rate) in(d time.Duration) float64 { return float64(r.Bytes) * d.Seconds() }

// Allow returns how many bytes may be sent now; 0: none.
func (b *Bucket) Allow(r Rate, now time.Duration) int64 {
	most := max(float64(r.After), r.in(rateBurst))
	b.left = min(most, b.left+r.in(max(0, now-b.at)))
	b.at = now
	return int64(max(0, b.left))
}

// Sent counts bytes that were sent. They may be more than were allowed: those that come
// next wait for longer.
func (b *Bucket) Sent(n int) { b.left -= float64(n) }

// Empty makes the bucket that of a connection which has just sent all that it might.
func (b *Bucket) Empty(now time.Duration) { *b = Bucket{0, now} }

// Again returns when a connection that has to wait is to be asked again.
func (b *Bucket) Again() time.Duration { return b.at + RateTick }
