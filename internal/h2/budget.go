package h2

import "time"

// Each connection has a budget of points. Frames that cost the server work and do nothing
// useful spend points; time and useful work give them back. A browser that cancels requests
// never comes near zero. A client that does nothing else is disconnected with
// ENHANCE_YOUR_CALM within seconds; the reason is the kind of frame that emptied the budget.
// A proxy's connection is never without points, because its streams belong to many clients: its
// end would truncate the responses of all of them, and not stop the one at fault.
const (
	budgetPoints = 1000 // of a new connection, and at most
	budgetRate   = 50   // points given back each second
	// budgetEarned is given back for each complete response and for each DATA frame of useful
	// size: it pays for one WINDOW_UPDATE frame of the stream and one of the connection.
	budgetEarned = 2
	// budgetUpdates limits the WINDOW_UPDATE frames that cost nothing. It is enough for 64 MiB that
	// a client's socket holds until the client reads them all at once, 1 KiB at a time.
	budgetUpdates = 1 << 18
	// costStreamError is spent when the client makes the server reset a stream, or sends a
	// header list over the limit. A correct client does either rarely.
	costStreamError = 10
)

// budget is the number of points that a connection has left.
type budget struct {
	points  int32
	updates int32         // WINDOW_UPDATE frames that cost nothing: the answers to DATA frames sent
	since   time.Duration // when points were last given back for time
	endless bool          // the client is a proxy
}

// refill gives points back for the time since the last call.
func (b *budget) refill(now time.Duration) {
	if n := int64(now-b.since) * budgetRate / int64(time.Second); n > 0 {
		b.points = int32(min(int64(b.points)+n, budgetPoints))
		b.since = now
	}
}

// spend takes n points. Below zero the connection ends.
func (c *Conn) spend(n int, r Reason) {
	if c.budget.endless {
		return
	}
	if c.budget.points -= int32(n); c.budget.points < 0 && c.calm == ReasonNone {
		c.calm = r
	}
}

// updated pays for a WINDOW_UPDATE frame.
func (c *Conn) updated() {
	if c.budget.updates--; c.budget.updates < 0 {
		c.budget.updates = 0
		c.spend(1, ReasonWindows)
	}
}

// earn gives points back for a complete response, or for a DATA frame with n bytes of content.
// Clients that read 1 KiB at a time answer each with two WINDOW_UPDATE frames.
func (c *Conn) earn(n int64) {
	kib := int32(n >> 10)
	c.budget.points = min(c.budget.points+budgetEarned+kib, budgetPoints)
	c.budget.updates = min(c.budget.updates+budgetEarned+2*kib, budgetUpdates)
}
