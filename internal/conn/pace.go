package conn

import "time"

// DrainRate is the rate in bytes per second at which a client must receive responses while
// its worker drains, so that a client with a few bytes a minute does not hold up a stop.
const DrainRate = 500

// MaxRate is the largest Config.MinRate.
const MaxRate = 16 << 20

// Rate returns the rate in bytes per second at which a client must receive responses; 0: any.
func (cfg *Config) Rate(draining bool) int {
	if draining {
		return max(cfg.MinRate, DrainRate)
	}
	return cfg.MinRate
}

// Pace measures whether a client moves as many bytes in a window of time as a rate requires. A
// window ends as soon as it has, so a client may be fast and slow in turn.
type Pace struct {
	moved int32 // bytes moved in this window
}

// Moved counts n bytes, perhaps none, and reports whether the window has as many bytes as rate
// requires. If so, the next window begins. rate is in bytes per second, at most MaxRate, and
// window is at most a minute.
func (p *Pace) Moved(n int64, rate int, window time.Duration) bool {
	least := int64(rate) * int64(window/time.Second)
	if p.moved += int32(min(n, least)); int64(p.moved) < least {
		return false
	}
	p.moved = 0
	return true
}

// Begun reports whether some bytes have moved in this window, but not enough.
func (p *Pace) Begun() bool { return p.moved > 0 }

// rate returns the current Config.Rate.
func (c *Conn) rate() int { return c.reply.cfg.Rate(c.draining) }

// took notes that n bytes of responses were sent, perhaps none.
func (c *Conn) took(n int64, now Now) {
	if c.pace.Moved(n, c.rate(), SendTimeout) {
		c.since = now.Mono
	}
}

// read notes that n bytes of a request's body were received. Without a minimum rate the whole
// body must come within HeadTimeout.
func (c *Conn) read(n int64, now Now) {
	if rate := c.reply.cfg.MinRate; rate > 0 && c.pace.Moved(n, rate, HeadTimeout) {
		c.since = now.Mono
	}
}
