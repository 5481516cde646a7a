package serve

import (
	"sync/atomic"
	"time"

	"phalanx/internal/conn"
)

// past is a deadline that has always passed.
var past = time.Unix(1, 0)

// clock tells connections the time. What is written into replies is made
// once for each second of the calendar.
type clock struct {
	cfg    *conn.Config
	began  time.Time // of the monotonic clock
	second atomic.Pointer[conn.Second]
}

func (c *clock) start() {
	c.began = time.Now()
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

// at returns the time at which the monotonic clock shows mono.
func (c *clock) at(mono time.Duration) time.Time { return c.began.Add(mono) }
