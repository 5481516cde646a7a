package serve

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// Clock provides the time to connections. It formats the Date field once per second.
//
// The wall clock may step, and only the monotonic clock stops while the machine is suspended.
// So neither is computed from the other.
type Clock struct {
	cfg    *Config
	began  time.Time // of the monotonic clock
	origin int64     // CLOCK_MONOTONIC at began, in nanoseconds
	second atomic.Pointer[conn.Second]
}

// Start starts the clock for the connections of cfg.
func (c *Clock) Start(cfg *Config) {
	c.cfg, c.began = cfg, time.Now()
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		c.origin = ts.Nano()
	}
	wall, _ := c.Read()
	c.second.Store(cfg.Conn.NewSecond(wall.Unix()))
}

// Read returns the wall clock and the monotonic clock of [conn.Now].
func (c *Clock) Read() (wall time.Time, mono time.Duration) {
	if c.cfg.Clock != nil {
		return c.cfg.Clock()
	}
	t := time.Now()
	return t, t.Sub(c.began)
}

// Now returns the current time.
func (c *Clock) Now() conn.Now {
	wall, mono := c.Read()
	s := c.second.Load()
	if unix := wall.Unix(); unix != s.Unix {
		s = c.cfg.Conn.NewSecond(unix)
		c.second.Store(s)
	}
	return conn.Now{Mono: mono, Second: s}
}

// Mono returns only the monotonic clock of [conn.Now], at half the cost of Read.
func (c *Clock) Mono() time.Duration {
	if c.cfg.Clock != nil {
		_, mono := c.cfg.Clock()
		return mono
	}
	return time.Since(c.began)
}

// Boot converts a time of Mono to CLOCK_MONOTONIC, which all processes share, in nanoseconds.
func (c *Clock) Boot(mono time.Duration) int64 { return c.origin + int64(mono) }

// Timer converts a time of Mono to a deadline for Go's timers.
func (c *Clock) Timer(mono time.Duration) time.Time { return time.Now().Add(mono - c.Mono()) }
