package h2

import (
	"testing"
	"time"

	"phalanx/internal/conn"
)

// A connection lingers from when its last bytes have been sent, also while it drains, when a minimum rate applies.
func TestLingerAfterUnsent(t *testing.T) {
	c := connect(t)
	c.conn.Drain(c.now)
	c.get(1, "/big")
	c.flush()
	c.now.Mono += conn.DrainGrace
	c.framer.WriteWindowUpdate(0, 1<<20)
	c.framer.WriteWindowUpdate(1, 1<<20)
	c.flush()
	if c.answered(1, "200", 100<<10); c.step != conn.Linger {
		t.Fatalf("step %d after the last response", c.step)
	}
	c.conn.Unsent(20_000, c.now)
	c.now.Mono += 20 * time.Second
	c.conn.Unsent(0, c.now)
	if after := c.conn.Deadline() - c.now.Mono; c.conn.Timer() != conn.TimerLinger || after != conn.LingerTimeout {
		t.Errorf("timer %d after %v, want %d after %v", c.conn.Timer(), after, conn.TimerLinger, conn.LingerTimeout)
	}
}

// What follows the last response has its whole time from when all has been sent, also at a minimum rate, whose window
// the rest of the response does not fill.
func TestTimeAfterUnsent(t *testing.T) {
	for _, r := range []struct {
		after    string // received with the request
		timer    conn.Timer
		deadline time.Duration
	}{
		{"", conn.TimerIdle, 30 * time.Second},
		{"\x00\x00", conn.TimerHead, conn.HeadTimeout},
	} {
		cfg := newConfig()
		cfg.MinRate = 1000
		c := newClient(t, cfg, nil)
		c.hello()
		c.get(1, "/page")
		c.send.WriteString(r.after)
		c.flush()
		c.answered(1, "200", 8<<10)
		c.conn.Unsent(8000, c.now)
		c.now.Mono += 20 * time.Second
		c.conn.Unsent(4000, c.now)
		if timer, left := c.conn.Timer(), c.conn.Deadline()-c.now.Mono; timer != conn.TimerSend || left != conn.SendTimeout-20*time.Second {
			t.Errorf("%q: timer %d in %v before all has been sent", r.after, timer, left)
		}
		c.now.Mono += 25 * time.Second
		c.conn.Unsent(0, c.now)
		if timer, left := c.conn.Timer(), c.conn.Deadline()-c.now.Mono; timer != r.timer || left != r.deadline {
			t.Errorf("%q: timer %d in %v, want %d in %v", r.after, timer, left, r.timer, r.deadline)
		}
	}
}
