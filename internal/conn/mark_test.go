package conn

import (
	"testing"
	"time"
)

// What is left of a dead worker's download is sent, and the connection goes on
// or ends as it would have; of its exchange only the end is told.
func TestAppendState(t *testing.T) {
	for _, closing := range []Closing{Persistent, ClosingClient, ClosingDrain} {
		cfg, o := newConfig(), &observer{}
		site := cfg.Site.(*fakeSite)
		site.open++
		state := AppendState(nil, []byte(get("/a")), []byte("unsent"), uint8(closing), false, 4, 6)
		d := newDriver(t, cfg, o)
		c, unsent, err := Thaw(cfg, o, state, site.files["/a"], d.at(time.Minute).now)
		if err != nil || string(unsent) != "unsent" {
			t.Fatalf("%d: %q, %v", closing, unsent, err)
		}
		d.conn = c
		d.conn.Unsent(0, d.now)
		want, told := "456789", 1
		if closing == Persistent {
			want, told = want+full("", "0123456789"), 4
		}
		if alive := d.pump(); alive != (closing == Persistent) || alive == EndsAfter(uint8(closing)) || string(d.reply) != want {
			t.Errorf("%d: alive %v, %q", closing, alive, d.reply)
		}
		if len(o.told) != told || o.records[0] != (record{bytes: 6, began: time.Minute}) {
			t.Errorf("%d: told %q, %+v", closing, o.told, o.records)
		}
		if site.open != 0 {
			t.Errorf("%d: %d files left open", closing, site.open)
		}
	}
}
