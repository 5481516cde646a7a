package conn

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// tally writes down what it is told.
type tally struct{ told []string }

func (y *tally) note(format string, args ...any) {
	y.told = append(y.told, fmt.Sprintf(format, args...))
}
func (y *tally) Received(line []byte, _ time.Duration) { y.note("%s", line) }
func (y *tally) Begun(s proto.Status)                  { y.note("%d", s) }
func (y *tally) Done(began time.Duration)              { y.note("done since %v", began) }
func (y *tally) Cut()                                  { y.note("cut") }
func (y *tally) TimedOut()                             { y.note("timed out") }
func (y *tally) check(t *testing.T, want ...string) {
	t.Helper()
	if !reflect.DeepEqual(y.told, want) {
		t.Errorf("told %q, want %q", y.told, want)
	}
	y.told = nil
}

// Each request is counted when its reply is begun, once, and either done or cut.
func TestTally(t *testing.T) {
	cfg, y := newConfig(), &tally{}
	cfg.Tally = y
	d := newDriver(t, cfg, nil)
	d.at(time.Second).receive(get("/a?q")[:9])
	d.at(2 * time.Second).receive(get("/a?q")[9:] + request("HEAD", "/"))
	y.check(t, "GET /a?q", "200", "done since 1s", "HEAD /", "200", "done since 2s")
	d.at(3 * time.Second).receive(get("/big"))
	y.check(t, "GET /big", "200", "done since 3s")
	d.conn.Receive([]byte(get("/big")), d.now)
	d.once()
	d.conn.Abort("gone")
	y.check(t, "GET /big", "200", "cut")
	d.conn.Abort("gone already")
	y.check(t)

	d = newDriver(t, cfg, nil)
	d.receive("BAD\r\n\r\n")
	y.check(t, "400", "done since 0s")

	d = newDriver(t, cfg, nil)
	d.receive("GET / HT")
	d.at(HeadTimeout).conn.Expire(d.now)
	d.pump()
	y.check(t, "timed out", "408", "done since 0s")

	d = newDriver(t, cfg, nil)
	d.conn.Receive([]byte(get("/big")), d.now)
	d.once()
	d.at(HeadTimeout + SendTimeout).conn.Expire(d.now)
	y.check(t, "GET /big", "200", "timed out", "cut")

	d = newDriver(t, cfg, nil)
	d.at(d.now.Mono + cfg.KeepAlive).conn.Expire(d.now)
	y.check(t) // nobody was slow
}

// A client's id is taken if it can stand in a head and in a log, and another is
// made if not; each reply has one.
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
				t.Errorf("%s with the id %q: %q", target, sent, headOf(reply))
			}
			if len(o.ids) != 1 || o.ids[0] != expected {
				t.Errorf("%s with the id %q: the log says %q", target, sent, o.ids)
			}
		}
	}
	made = 0
	if reply, _ := exchange(t, cfg, nil, get("/a")+"BAD\r\n\r\n"); strings.Count(reply, "X-Request-Id: made-") != 2 || made != 2 {
		t.Errorf("two replies, %d ids: %q", made, reply)
	}
}

// What can be seen of a connection is what it is doing.
func TestView(t *testing.T) {
	cfg := newConfig()
	d := newDriver(t, cfg, nil)
	check := func(want View) {
		t.Helper()
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
