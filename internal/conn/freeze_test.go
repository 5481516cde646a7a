package conn

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// move freezes the driver's connection and continues with a new one, whose clock has
// another origin.
func (d *driver) move(cfg *Config, obs Observer) {
	d.t.Helper()
	if !d.conn.Movable() {
		d.t.Fatalf("cannot be moved in phase %d", d.conn.phase)
	}
	d.hold()
	state := d.conn.Freeze(nil, nil, d.now)
	var file File
	if f := d.conn.Segment().File; f != nil {
		f.(*fakeFile).site.open++
		file = f
	}
	d.conn.Leave()
	d.now.Mono += 1000 * time.Hour
	var err error
	if d.conn, _, err = Thaw(cfg, obs, state, file, d.now); err != nil {
		d.t.Fatal(err)
	}
}

// A connection that is moved between any two received bytes sends the same replies as one
// that stays.
func TestMoveAnywhere(t *testing.T) {
	raw := "GET /a HTTP/1.1\r\nHost: a\r\n\r\n" + "GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n" +
		"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	cfg := newConfig()
	want, ended := exchange(t, cfg, nil, raw)
	if !ended {
		t.Fatal("the last reply does not end the connection")
	}
	for i := 1; i < len(raw); i++ {
		d := newDriver(t, cfg, nil)
		if !d.receive(raw[:i]) {
			t.Fatalf("ended after %d bytes", i)
		}
		d.move(cfg, nil)
		if d.receive(raw[i:]) || string(d.reply) != want {
			t.Fatalf("moved after %d bytes:\n%q\nwant\n%q", i, d.reply, want)
		}
	}
	if open := cfg.Site.(*fakeSite).open; open != 0 {
		t.Errorf("%d files are open", open)
	}
}

// A download is moved with the requests pipelined after it, and the log has the whole
// transfer.
func TestMoveDownload(t *testing.T) {
	cfg := newConfig()
	raw := "GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	want, _ := exchange(t, cfg, nil, raw)
	obs := &observer{}
	d := newDriver(t, cfg, obs)
	d.piece = 1000
	d.in = append(d.in, raw...)
	d.at(time.Minute).conn.Receive(d.in, d.now)
	for moves := 0; d.once() && d.step != Read; {
		if d.step == Send && d.conn.Movable() {
			moves++
			d.move(cfg, obs)
		}
		if moves > 50 {
			d.piece = 40 << 10
		}
	}
	if string(d.reply) != want {
		t.Errorf("%d bytes, want %d", len(d.reply), len(want))
	}
	if len(obs.records) != 2 || obs.records[0].target != "/big" || obs.records[0].bytes != int64(len(bigData)) || obs.records[0].status != 200 {
		t.Errorf("recorded %+v", obs.records)
	}
}

// A connection whose file was sent completely, without the worker that was killed knowing
// it, continues without the file in another worker: that ends the response, which is a
// line of the log, and begins the next one.
func TestMoveBehindFile(t *testing.T) {
	cfg := newConfig()
	for _, raw := range []string{
		get("/big") + get("/a"), get("/big") + "GET /a HTTP/1.1\r\nHo", get("/big", "Connection: close"),
	} {
		want, ended := exchange(t, cfg, nil, raw)
		obs := &observer{}
		d := newDriver(t, cfg, obs)
		d.piece = int64(len(bigData))
		d.in = append(d.in, raw...)
		d.conn.Receive(d.in, d.now)
		for d.once() && d.step != Send {
		}
		d.hold()
		state := d.conn.Freeze(nil, nil, d.now)
		d.conn.Leave()
		var err error
		if d.conn, _, err = Thaw(cfg, obs, state, nil, d.now); err != nil {
			t.Fatal(err)
		}
		if alive := d.pump(); alive == ended || string(d.reply) != want {
			t.Errorf("%q: goes on %v with %d bytes, want %d", raw, alive, len(d.reply), len(want))
		}
		if len(obs.records) == 0 || obs.records[0].target != "/big" || obs.records[0].bytes != int64(len(bigData)) {
			t.Errorf("recorded %+v", obs.records)
		}
	}
}

// The worker that takes over a download knows its request, whether or not the previous
// worker had an observer, and how the connection continues.
func TestMoveKeepsExchange(t *testing.T) {
	cfg := newConfig()
	made := 0
	cfg.ID = func(dst []byte) []byte {
		made++
		return append(dst, "made"...)
	}
	obs := &observer{}
	d := newDriver(t, cfg, nil)
	d.in = append(d.in, get("/big?x", "Connection: close", "User-Agent: agent")...)
	d.conn.Receive(d.in, d.now)
	d.once()
	d.move(cfg, obs)
	if x := d.conn.reply.x; string(x.Line()) != "GET /big?x" || string(x.Value(proto.FieldUserAgent)) != "agent" || x.Size != int64(len(bigData)) {
		t.Errorf("%+v", x)
	}
	if d.pump() || d.step != Close {
		t.Errorf("the last step is %d", d.step)
	}
	want := []record{{"GET", "/big?x", 200, int64(len(bigData)), 1000 * time.Hour, ""}}
	if !reflect.DeepEqual(obs.records, want) || obs.ids[0] != "made" || made != 1 {
		t.Errorf("%+v with the IDs %q, of which %d were generated", obs.records, obs.ids, made)
	}
}

// Deadlines move with the connection.
func TestMoveKeepsAge(t *testing.T) {
	cfg := newConfig()
	for raw, left := range map[string]time.Duration{"": cfg.KeepAlive - 7*time.Second, "GET /": HeadTimeout - 7*time.Second} {
		d := newDriver(t, cfg, nil)
		if raw != "" {
			d.receive(raw)
		}
		d.at(7*time.Second).move(cfg, nil)
		if got := d.conn.Deadline() - d.now.Mono; got != left {
			t.Errorf("after %q: %v are left, want %v", raw, got, left)
		}
	}
}

// A connection that cannot be moved stays until it can.
func TestMovable(t *testing.T) {
	cfg := newConfig()
	d := newDriver(t, cfg, nil)
	d.receive("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
	if d.conn.Movable() {
		t.Error("a connection is moved within a request's body")
	}
	d.receive("cde")
	if !d.conn.Movable() {
		t.Error("an idle connection is not moved")
	}
	d.conn.Drain(d.now)
	if d.conn.Movable() {
		t.Error("a draining connection is moved")
	}
	d = newDriver(t, cfg, nil)
	d.piece = 3
	d.conn.Receive([]byte("GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3,6-9\r\n\r\n"), d.now)
	d.once()
	if d.step != Send || d.conn.Movable() {
		t.Error("a multipart response is moved")
	}
	d.conn.Abort(errGone)
}

func TestThawRefuses(t *testing.T) {
	cfg := newConfig()
	d := newDriver(t, cfg, nil)
	d.receive("GET /x HTTP/1.1\r\nHo")
	d.hold()
	good := d.conn.Freeze(nil, []byte("unsent"), d.now)
	if _, unsent, err := Thaw(cfg, nil, good, nil, d.now); err != nil || string(unsent) != "unsent" {
		t.Fatalf("%q, %v", unsent, err)
	}
	for what, state := range map[string][]byte{
		"nothing": nil, "another version": append([]byte{stateVersion + 1}, good[1:]...), "a file that did not come": append([]byte{stateVersion, stateSending}, good[2:]...),
		"a flag that nobody knows": append([]byte{stateVersion, 0x80}, good[2:]...), "more than all": append(bytes.Clone(good), 0),
		"a length beyond the end": {stateVersion, 0, 0, 0, 200, 1, 0}, "a number without end": append([]byte{stateVersion, 0}, bytes.Repeat([]byte{0xff}, 20)...),
	} {
		if _, _, err := Thaw(cfg, nil, state, nil, d.now); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	for n := range good {
		if _, _, err := Thaw(cfg, nil, good[:n], nil, d.now); err == nil {
			t.Errorf("%d of %d bytes are accepted", n, len(good))
		}
	}
	if _, _, err := Thaw(cfg, nil, good, &fakeFile{site: newFakeSite()}, d.now); err == nil {
		t.Error("a file that is not being sent is accepted")
	}
}

// A state that is thawed without a file can be frozen and thawed again, and the connection
// then continues with any bytes.
func FuzzThaw(f *testing.F) {
	cfg := newConfig()
	d := newDriver(f, cfg, nil)
	f.Add(d.conn.Freeze(nil, nil, d.now), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	d.receive("GET /x HTTP/1.1\r\nHo")
	d.hold()
	f.Add(d.conn.Freeze(nil, []byte("x"), d.now), "st: a\r\n\r\n")
	d = newDriver(f, cfg, nil)
	d.piece = int64(len(bigData))
	d.conn.Receive([]byte(get("/big")), d.now)
	for d.once() && d.step != Send {
	}
	d.hold()
	f.Add(d.conn.Freeze(nil, nil, d.now), get("/a"))
	f.Fuzz(func(t *testing.T, state []byte, more string) {
		d := newDriver(t, cfg, nil)
		c, unsent, err := Thaw(cfg, nil, state, nil, d.now)
		if err != nil || c.phase == phaseLinger { // which is not frozen again
			return
		}
		again, unsent2, err := Thaw(cfg, nil, c.Freeze(nil, unsent, d.now), nil, d.now)
		if err != nil || !bytes.Equal(unsent, unsent2) || !bytes.Equal(c.in, again.in) || c.phase != again.phase {
			t.Fatalf("%v: %+v became %+v", err, c, again)
		}
		d.conn = again
		d.conn.Unsent(0, d.now)
		if d.pump() && len(more) > 0 && len(more) < 1<<16 {
			d.receive(strings.Clone(more))
		}
		d.conn.Abort(errGone)
	})
}

// The state of a download of the largest possible file is restored.
func TestMoveLargestFile(t *testing.T) {
	const largest = math.MaxInt64
	cfg := newConfig()
	d := newDriver(t, cfg, nil)
	d.conn.Receive([]byte(get("/a")), d.now)
	d.once()
	d.conn.reply.segment.Off, d.conn.reply.segment.Len, d.conn.reply.x.Size = largest-5, 5, largest
	d.move(cfg, nil)
	if s := d.conn.Segment(); s.Off != largest-5 || s.Len != 5 || d.conn.View().Size != largest {
		t.Errorf("%+v %+v", s, d.conn.View())
	}
}
