package serve

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// Clock tells connections the time. What is written into replies is made
// once for each second of the calendar.
type Clock struct {
	cfg    *conn.Config
	began  time.Time // of the monotonic clock
	origin int64     // what CLOCK_MONOTONIC showed then, in nanoseconds
	second atomic.Pointer[conn.Second]
}

// Start sets the clock going for the connections of cfg.
func (c *Clock) Start(cfg *conn.Config) {
	c.cfg = cfg
	c.began = time.Now()
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		c.origin = ts.Nano()
	}
	c.second.Store(c.cfg.NewSecond(c.began.Unix()))
}

// Now is the time of this moment.
func (c *Clock) Now() conn.Now {
	t := time.Now()
	s := c.second.Load()
	if unix := t.Unix(); unix != s.Unix {
		s = c.cfg.NewSecond(unix)
		c.second.Store(s)
	}
	return conn.Now{Mono: t.Sub(c.began), Second: s}
}

// Mono returns the time on the monotonic clock of [conn.Now] alone.
func (c *Clock) Mono() time.Duration { return time.Since(c.began) }

// Boot turns a time on that clock into one on CLOCK_MONOTONIC, which all
// processes share.
func (c *Clock) Boot(mono time.Duration) int64 { return c.origin + int64(mono) }

// At returns the time at which the monotonic clock shows mono.
func (c *Clock) At(mono time.Duration) time.Time { return c.began.Add(mono) }
