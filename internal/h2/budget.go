package h2

import "time"

// A connection may waste a number of points, which are given back as time passes and as
// useful work is done: so a client that opens, cancels and asks about as much as browsers
// do never comes near the end, and one that does nothing else is told
// ENHANCE_YOUR_CALM after a moment. What emptied the budget is the reason.
const (
	budgetPoints = 1000 // of a new connection, and at most
	budgetRate   = 50   // points given back each second
	// earned by each response that was sent whole, and by each DATA frame that was
	// worth its header: for WINDOW_UPDATE frames of stream and connection
	budgetEarned = 2
	// costStreamError is for making the server reset a stream, and for header lists
	// over the limit: no client that works does either often.
	costStreamError = 10
)

// budget is what is left of it.
type budget struct {
	points int32
	since  time.Duration // when time was credited last
}

// refill gives back what the time is worth.
func (b *budget) refill(now time.Duration) {
	if n := int64(now-b.since) * budgetRate / int64(time.Second); n > 0 {
		b.points = int32(min(int64(b.points)+n, budgetPoints))
		b.since = now
	}
}

// spend takes n points. When there are none left, the connection ends.
func (c *Conn) spend(n int, r Reason) {
	if c.budget.points -= int32(n); c.budget.points < 0 && c.calm == ReasonNone {
		c.calm = r
	}
}

// earn gives points back for a response that was sent whole, or for a DATA frame with n
// bytes of content: proxies tell of each kilobyte that they have passed on.
func (c *Conn) earn(n int64) {
	c.budget.points = min(c.budget.points+budgetEarned+int32(n>>10), budgetPoints)
}
