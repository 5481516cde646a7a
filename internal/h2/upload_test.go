package h2

import (
	"bytes"
	"testing"
	"time"

	"phalanx/internal/conn"
)

// A request's content that comes at the minimum rate may take longer than HeadTimeout, and so may each of its frames.
func TestUploadRate(t *testing.T) {
	for _, r := range []struct {
		rate, bytes int // each half second
		timer       conn.Timer
	}{
		{1000, 600, conn.TimerNone},
		{1000, 450, conn.TimerHead},
		{0, 600, conn.TimerHead},
	} {
		cfg := newConfig()
		cfg.MinRate = r.rate
		c := newClient(t, cfg, nil)
		c.hello()
		c.headers(1, false, getFields("/page")...)
		c.framer.WriteData(1, false, make([]byte, maxFrame))
		c.framer.WriteData(1, true, make([]byte, maxFrame))
		upload := bytes.Clone(c.send.Bytes())
		c.send.Reset()
		timer := conn.TimerNone
		for timer == conn.TimerNone && len(upload) > 0 {
			n := min(r.bytes, len(upload))
			c.send.Write(upload[:n])
			upload = upload[n:]
			c.flush()
			c.now.Mono += time.Second / 2
			timer = c.conn.Expire(c.now)
		}
		if timer != r.timer {
			t.Errorf("minimum rate %d, %d bytes each half second: timer %d with %d bytes left, want %d", r.rate, r.bytes, timer, len(upload), r.timer)
		}
		if timer == conn.TimerNone {
			c.answered(1, "200", 8<<10)
		}
	}
}
