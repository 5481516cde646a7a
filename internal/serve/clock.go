package serve

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// past is a deadline that has always passed.
var past = time.Unix(1, 0)

// clock tells connections the time. What is written into replies is made
// once for each second of the calendar.
type clock struct {
	cfg    *conn.Config
	began  time.Time // of the monotonic clock
	origin int64     // what CLOCK_MONOTONIC showed then, in nanoseconds
	second atomic.Pointer[conn.Second]
}

func (c *clock) start() {
	c.began = time.Now()
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		c.origin = ts.Nano()
	}
	c.second.Store(c.cfg.NewSecond(c.began.Unix()))
}

func (c *clock) now() conn.Now {
	t := time.Now()
	s := c.second.Load()
	if unix := t.Unix(); unix != s.Unix {
		s = c.cfg.NewSecond(unix)
		c.second.Store(s)
	}
	return conn.Now{Mono: t.Sub(c.began), Second: s}
}

// mono returns the time on the monotonic clock of [conn.Now] alone.
func (c *clock) mono() time.Duration { return time.Since(c.began) }

// boot turns a time on that clock into one on CLOCK_MONOTONIC, which all
// processes share.
func (c *clock) boot(mono time.Duration) int64 { return c.origin + int64(mono) }

// at returns the time at which the monotonic clock shows mono.
func (c *clock) at(mono time.Duration) time.Time { return c.began.Add(mono) }
