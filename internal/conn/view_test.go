package conn

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The observer is told when an exchange's head is complete, when it is decided, and when it
// has ended: once each.
func TestObserver(t *testing.T) {
	cfg, o := newConfig(), &observer{}
	check := func(want ...string) {
		t.Helper()
		if !reflect.DeepEqual(o.told, want) {
			t.Errorf("told %q, want %q", o.told, want)
		}
		o.told = nil
	}
	d := newDriver(t, cfg, o)
	d.at(time.Second).receive(get("/a?q")[:9])
	d.at(2 * time.Second).receive(get("/a?q")[9:] + request("HEAD", "/"))
	check("GET /a?q", "200", "whole, since 1s", "HEAD /", "200", "whole, since 2s")
	d.at(3 * time.Second).receive(get("/big"))
	check("GET /big", "200", "whole, since 3s")
	d.conn.Receive([]byte(get("/big")), d.now)
	d.once()
	d.conn.Abort(errGone)
	check("GET /big", "200", "truncated")
	d.conn.Abort(errGone)
	check()

	d = newDriver(t, cfg, o)
	d.receive("BAD\r\n\r\n")
	check("400", "whole, since 0s")
}

// A connection that has received its next request is not idle, though the response before it is complete.
func TestPipeliningIsNotIdle(t *testing.T) {
	d := newDriver(t, newConfig(), nil)
	d.conn.Receive([]byte(get("/big")+get("/")), d.now)
	out, step := d.conn.Next(nil, d.now)
	if step != Send {
		t.Fatalf("step %d", step)
	}
	out = append(out, bigData...) // as an engine collects small files
	d.conn.Sent(int64(len(bigData)), d.now)
	if _, step = d.conn.Next(out, d.now); step != Flush || d.conn.State() != Receiving {
		t.Errorf("step %d in state %d", step, d.conn.State())
	}
	if !d.pump() || d.conn.State() != Idle {
		t.Errorf("step %d in state %d after all requests", d.step, d.conn.State())
	}
}

// Expire reports which timer has expired.
func TestExpireSaysWhat(t *testing.T) {
	cfg, o := newConfig(), &observer{}
	for _, tt := range []struct {
		start string
		after time.Duration
		want  Timer
		told  []string
	}{
		{"", cfg.KeepAlive, TimerIdle, nil},
		{"", cfg.KeepAlive - 1, TimerNone, nil},
		{"GET / HT", HeadTimeout, TimerHead, []string{"408", "whole, since 0s"}},
		{get("/big"), SendTimeout, TimerSend, []string{"GET /big", "200", "truncated"}},
	} {
		o.told = nil
		d := newDriver(t, cfg, o)
		if tt.start != "" {
			d.conn.Receive([]byte(tt.start), d.now)
		}
		d.once()
		if got := d.at(d.now.Mono + tt.after).conn.Expire(d.now); got != tt.want {
			t.Errorf("%.10q, after %v: %d, want %d", tt.start, tt.after, got, tt.want)
		}
		d.pump()
		if !reflect.DeepEqual(o.told, tt.told) {
			t.Errorf("%.10q, after %v: told %q, want %q", tt.start, tt.after, o.told, tt.told)
		}
	}
}

// A client's request ID is used if it is valid in a field and in a log; otherwise one is
// generated. Each reply has one.
func TestRequestID(t *testing.T) {
	cfg := newConfig()
	made := 0
	cfg.ID = func(dst []byte) []byte {
		made++
		return fmt.Appendf(dst, "made-%d", made)
	}
	var o observer
	for sent, want := range map[string]string{
		"": "made", "abc-DEF_0.9:+/=@": "abc-DEF_0.9:+/=@", strings.Repeat("x", maxID): strings.Repeat("x", maxID),
		strings.Repeat("x", maxID+1): "made", "a b": "made", `a"b`: "made", "a\x80": "made", "a,b": "made",
	} {
		var fields []string
		if sent != "" {
			fields = append(fields, "X-Request-Id: "+sent)
		}
		for _, target := range []string{"/a", "/none", "/big"} {
			o.ids = nil
			made = 0
			reply, _ := exchange(t, cfg, &o, get(target, fields...))
			expected := want
			if want == "made" {
				expected = "made-1"
			}
			if !strings.Contains(reply, "\r\nX-Request-Id: "+expected+"\r\n") || strings.Count(reply, "X-Request-Id") != 1 {
				t.Errorf("%s with the ID %q: %q", target, sent, headOf(reply))
			}
			if len(o.ids) != 1 || o.ids[0] != expected {
				t.Errorf("%s with the ID %q: the log has %q", target, sent, o.ids)
			}
		}
	}
	made = 0
	if reply, _ := exchange(t, cfg, nil, get("/a")+"BAD\r\n\r\n"); strings.Count(reply, "X-Request-Id: made-") != 2 || made != 2 {
		t.Errorf("%d IDs generated for two replies: %q", made, reply)
	}
}

// The view of a connection says what it is doing.
func TestView(t *testing.T) {
	cfg := newConfig()
	d := newDriver(t, cfg, nil)
	check := func(want View) {
		t.Helper()
		want.Version = HTTP11
		if got := d.conn.View(); !reflect.DeepEqual(got, want) {
			t.Errorf("view is %+v, want %+v", got, want)
		}
	}
	check(View{State: Idle})
	d.at(time.Second).receive("GET /b")
	check(View{State: Receiving, Since: time.Second})
	d.at(2*time.Second).conn.Receive([]byte("ig?x HTTP/1.1\r\nHost: a\r\n\r\n"), d.now)
	d.once()
	d.conn.Sent(1000, d.now)
	sending := View{State: Sending, Line: []byte("GET /big?x"), Sent: 1000 + 40<<10, Size: int64(len(bigData)), Since: time.Second}
	sending.Sent = int64(len(bigData)) - d.conn.Left()
	check(sending)
	d.conn.Hold()
	d.move(cfg, nil)
	sending.Since += 1000 * time.Hour
	check(sending)
	d.pump()
	check(View{State: Idle, Since: d.now.Mono})
	d.receive(get("/a", "Connection: close"))
	check(View{State: Ending, Since: d.now.Mono})
}
