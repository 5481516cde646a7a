package conn

import (
	"testing"
	"time"
)

// What is left of a dead worker's download is sent, and the connection continues
// or ends as it would have; of its exchange only the end is told.
func TestAppendState(t *testing.T) {
	for _, closing := range []Closing{Persistent, ClosingClient, ClosingDrain} {
		cfg, o := newConfig(), &observer{}
		site := cfg.Site.(*fakeSite)
		site.open++
		state := AppendState(nil, Remains{Held: []byte(get("/a")), Unsent: []byte("unsent"), Flags: uint8(closing), Off: 4, Rest: 6})
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

// With what was known of the exchange, the log learns of a download as if its
// worker had not died.
func TestAppendStateKeepsExchange(t *testing.T) {
	cfg, o := newConfig(), &observer{}
	d := newDriver(t, cfg, o)
	d.conn.Receive([]byte(get("/a")), d.now)
	if _, step := d.conn.Next(nil, d.now); step != Send {
		t.Fatalf("step %v", step)
	}
	exchange := d.conn.AppendExchange(nil)
	remains := Remains{Flags: d.conn.Mark().Flags, Off: 4, Rest: 6, Exchange: exchange, Age: time.Second}
	site := cfg.Site.(*fakeSite)
	after := d.at(time.Minute).now
	c, _, err := Thaw(cfg, o, AppendState(nil, remains), site.files["/a"], after)
	if err != nil {
		t.Fatal(err)
	}
	if x := c.reply.x; string(x.Target()) != "/a" || x.Status != 200 || x.Size != 10 || x.Bytes != 4 || x.Headed != after.Mono-time.Second {
		t.Errorf("the exchange is %q, %d, %d of %d bytes, complete at %v", x.Target(), x.Status, x.Bytes, x.Size, x.Headed)
	}
	for cut := range exchange {
		remains.Exchange = exchange[:cut]
		if c, _, err := Thaw(cfg, o, AppendState(nil, remains), site.files["/a"], after); err != nil || c.reply.x.Status != 0 {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}
