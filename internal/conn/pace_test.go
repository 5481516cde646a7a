package conn

import (
	"strings"
	"testing"
	"time"
)

// With a minimum rate a client has to take, in each minute, as much as that asks for; a
// window ends as soon as it has.
func TestMinRate(t *testing.T) {
	const rate = 100 // 6,000 bytes a minute
	for _, c := range []struct {
		name  string
		piece int64 // bytes taken each 20 s
		ends  int   // the piece at which it ends; 0: it does not
		timer Timer
	}{
		{"enough", 2000, 0, TimerNone},
		{"more at once", 12_000, 0, TimerNone},
		{"a little less", 1999, 3, TimerRate},
		{"nothing", 0, 3, TimerSend},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := newConfig()
			cfg.MinRate = rate
			d := newDriver(t, cfg, nil)
			startBig(d)
			d.at(0)
			for i := 1; i <= 6; i++ {
				d.at(time.Duration(20*i) * second)
				d.conn.Progress(c.piece, d.now)
				timer := d.conn.Expire(d.now)
				if i == c.ends && timer != c.timer || i != c.ends && timer != TimerNone {
					t.Fatalf("after %d pieces: timer %d", i, timer)
				}
				if i == c.ends {
					return
				}
			}
		})
	}
}

// A request's body has ten seconds, and longer only at a minimum rate.
func TestBodyRate(t *testing.T) {
	for _, c := range []struct {
		rate, piece int // bytes a second
		late        bool
	}{{0, 1000, true}, {100, 1000, false}, {100, 99, true}} {
		cfg := newConfig()
		cfg.MinRate = c.rate
		d := newDriver(t, cfg, nil)
		d.receive(get("/", "Content-Length: 50000"))
		late := false
		for i := 1; i <= 30 && !late; i++ {
			d.at(time.Duration(i) * second)
			d.receive(strings.Repeat("x", c.piece))
			late = d.conn.Expire(d.now) == TimerHead
		}
		if late != c.late {
			t.Errorf("%d bytes a second at a minimum of %d: late %v", c.piece, c.rate, late)
		}
	}
}

// A connection that is handed over begins a window where it arrives.
func TestRateStartsAnew(t *testing.T) {
	cfg := newConfig()
	cfg.MinRate = 100
	d := newDriver(t, cfg, nil)
	startBig(d)
	d.at(59 * second)
	d.conn.Progress(5999, d.now)
	d.conn.Hold()
	state := d.conn.Freeze(nil, nil, d.now)
	c, _, err := Thaw(cfg, nil, state, d.conn.Segment().File, d.now)
	if err != nil || c.Deadline() != d.now.Mono+SendTimeout {
		t.Errorf("deadline %v at %v: %v", c.Deadline(), d.now.Mono, err)
	}
}
