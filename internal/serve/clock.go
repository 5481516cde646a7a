package serve

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// Clock gives connections the time. The dates in responses are formatted once for
// each second of the calendar.
//
// The calendar may step, and continues while the machine is suspended, when the
// monotonic clock stops: neither is ever computed from the other.
type Clock struct {
	cfg    *Config
	began  time.Time // of the monotonic clock
	origin int64     // what CLOCK_MONOTONIC showed then, in nanoseconds
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

// Read reads the calendar, and the monotonic clock of [conn.Now].
func (c *Clock) Read() (wall time.Time, mono time.Duration) {
	if c.cfg.Clock != nil {
		return c.cfg.Clock()
	}
	t := time.Now()
	return t, t.Sub(c.began)
}

// Now is the time of this moment.
func (c *Clock) Now() conn.Now {
	wall, mono := c.Read()
	s := c.second.Load()
	if unix := wall.Unix(); unix != s.Unix {
		s = c.cfg.Conn.NewSecond(unix)
		c.second.Store(s)
	}
	return conn.Now{Mono: mono, Second: s}
}

// Mono returns the time on the monotonic clock of [conn.Now] alone, for half of what
// Read costs.
func (c *Clock) Mono() time.Duration {
	if c.cfg.Clock != nil {
		_, mono := c.cfg.Clock()
		return mono
	}
	return time.Since(c.began)
}

// Boot turns a time on that clock into one on CLOCK_MONOTONIC, which all
// processes share.
func (c *Clock) Boot(mono time.Duration) int64 { return c.origin + int64(mono) }

// Timer returns when a timer of Go's that is set now goes off so that the clock
// shows mono then.
func (c *Clock) Timer(mono time.Duration) time.Time { return time.Now().Add(mono - c.Mono()) }
