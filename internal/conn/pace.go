package conn

import "time"

// DrainRate is how many bytes a second a client has to take while its worker drains, so
// that one which takes a few bytes a minute does not hold up a stop.
const DrainRate = 500

// MaxRate is the largest Config.MinRate.
const MaxRate = 16 << 20

// rate is how many bytes a second a client has to take of a response; 0: any.
func (c *Conn) rate() int {
	rate := c.reply.cfg.MinRate
	if c.draining {
		rate = max(rate, DrainRate)
	}
	return rate
}

// took notes that n bytes have gone, perhaps 0. Once there are as many as the rate asks
// for in a SendTimeout, the next one begins.
func (c *Conn) took(n int64, now Now) { c.moved(n, c.rate(), SendTimeout, now) }

// read notes that n bytes of a request's body have come. Without a minimum rate it has a
// HeadTimeout in all.
func (c *Conn) read(n int, now Now) {
	if rate := c.reply.cfg.MinRate; rate > 0 {
		c.moved(int64(n), rate, HeadTimeout, now)
	}
}

// moved counts n bytes, and begins another window of time when there are as many as the
// rate asks for in one: a client may be fast and slow in turn.
func (c *Conn) moved(n int64, rate int, window time.Duration, now Now) {
	least := int64(rate) * int64(window/time.Second)
	if c.taken += int32(min(n, least)); int64(c.taken) >= least {
		c.taken, c.since = 0, now.Mono
	}
}
