package conn

import "time"

// DrainRate is how many bytes a second a client has to take while its worker drains, so
// that one which takes a few bytes a minute does not hold up a stop.
const DrainRate = 500

// MaxRate is the largest Config.MinRate.
const MaxRate = 16 << 20

// Rate is how many bytes a second a client has to take of responses; 0: any.
func (cfg *Config) Rate(draining bool) int {
	if draining {
		return max(cfg.MinRate, DrainRate)
	}
	return cfg.MinRate
}

// Pace measures whether a client moves as many bytes as a rate asks for in a window of
// time. A window ends as soon as it has: a client may be fast and slow in turn.
type Pace struct {
	moved int32 // in this window
}

// Moved counts n bytes, perhaps none, and reports whether there are as many as rate bytes a
// second, up to MaxRate, ask for in a window, of a minute at most. The next window begins
// then.
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

// rate is that of Config.Rate now.
func (c *Conn) rate() int { return c.reply.cfg.Rate(c.draining) }

// took notes that n bytes of responses have gone, perhaps none.
func (c *Conn) took(n int64, now Now) {
	if c.pace.Moved(n, c.rate(), SendTimeout) {
		c.since = now.Mono
	}
}

// read notes that n bytes of a request's body have come. Without a minimum rate it has a
// HeadTimeout in all.
func (c *Conn) read(n int64, now Now) {
	if rate := c.reply.cfg.MinRate; rate > 0 && c.pace.Moved(n, rate, HeadTimeout) {
		c.since = now.Mono
	}
}
