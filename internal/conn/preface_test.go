package conn

import (
	"strings"
	"testing"
)

// A client in the clear that begins with HTTP/2's preface is told by a step, wherever the
// preface is cut; another one is HTTP/1.1's.
func TestSwitch(t *testing.T) {
	cfg := newConfig()
	cfg.HTTP2 = true
	const rest = "\x00\x00\x00\x04\x00"
	for cut := 1; cut < len(Preface); cut++ {
		d := newDriver(t, cfg, nil)
		if !d.receive(Preface[:cut]) || d.receive(Preface[cut:]+rest) || d.step != Switch {
			t.Fatalf("cut at %d: step %v", cut, d.step)
		}
		if got := string(d.conn.Unused()); got != Preface+rest || len(d.reply) > 0 {
			t.Fatalf("cut at %d: unused %q, response %q", cut, got, d.reply)
		}
	}
}

// A connection does not switch if its TLS chose HTTP/1.1, if it has had a request or if HTTP/2 is off; and
// what only begins like the preface is a request.
func TestNoSwitch(t *testing.T) {
	on, off := newConfig(), newConfig()
	on.HTTP2 = true
	begin := func(cfg *Config) *driver { return newDriver(t, cfg, nil) }
	for name, d := range map[string]*driver{
		"off": begin(off), "secure": begin(on), "later": begin(on), "other": begin(on),
	} {
		raw, want := Preface, "HTTP/1.1 505 "
		switch name {
		case "secure":
			d.conn.Secure()
		case "later":
			d.receive(get("/a"))
			d.reply = d.reply[:0]
		case "other":
			raw, want = request("PUT", "/a"), "HTTP/1.1 405 "
		}
		if d.receive(raw); d.step == Switch || !strings.HasPrefix(string(d.reply), want) {
			t.Errorf("%s: step %v, response %.30q, want %q", name, d.step, d.reply, want)
		}
	}
}
