package conn

import (
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

const second = time.Second

// Each phase has its deadline. An Expire before it changes nothing; one after it ends the
// connection as the phase demands.
func TestExpire(t *testing.T) {
	tests := []struct {
		name     string
		begin    func(d *driver) // brings the connection into the phase
		deadline time.Duration
		step     Step
		reply    string
	}{
		{"idle from the start", func(d *driver) {}, 30 * second, Close, ""},
		{"9112-9.5 idle after a reply", func(d *driver) { d.at(5 * second).receive(get("/")) }, 35 * second, Close, home},
		{"9110-15.5.9 half a head", func(d *driver) { d.at(5 * second).receive("GET /") }, 15 * second, Linger, page(closes, "408 Request Timeout", "")},
		{"9110-15.5.9 a head that trickles", func(d *driver) {
			for i, c := range "GET / HTTP" {
				d.at(time.Duration(5+i/2) * second).receive(string(c))
			}
		}, 15 * second, Linger, page(closes, "408 Request Timeout", "")},
		{"9110-15.5.9 half of a second head", func(d *driver) { d.at(2 * second).receive(get("/") + "GET /") }, 12 * second, Linger, home + page(closes, "408 Request Timeout", "")},
		{"9110-15.5.9 HEAD has no body", func(d *driver) { d.at(second).receive("HEAD / HTTP/1.1\r\n") }, 11 * second, Linger, headOf(page(closes, "408 Request Timeout", ""))},
		{"9110-15.5.9 half a body", func(d *driver) {
			d.at(5 * second).receive("GET / HTTP/1.1\r\nHost: a\r\nContent-Le")
			d.at(10 * second).receive("ngth: 5\r\n\r\nabc")
			d.at(15 * second).receive("d")
		}, 20 * second, Linger, page(closes, "408 Request Timeout", "")},
		{"9110-15.5.9 half a chunk", func(d *driver) {
			d.at(second).receive(get("/", "Transfer-Encoding: chunked") + "5\r\nab")
		}, 11 * second, Linger, page(closes, "408 Request Timeout", "")},
		{"a client that takes no bytes", func(d *driver) { startBig(d.at(second)) }, 61 * second, Reset, fullHead("", len(bigData))},
		{"a client that took some", func(d *driver) {
			startBig(d.at(second))
			d.at(50 * second).once()
		}, 110 * second, Reset, full("", bigData)[:len(fullHead("", len(bigData)))+40<<10]},
		{"a client whose kernel took some", func(d *driver) {
			startBig(d.at(second))
			d.at(50*second).conn.Progress(1, d.now)
		}, 110 * second, Reset, fullHead("", len(bigData))},
		{"9112-9.6 lingering", func(d *driver) { d.at(second).receive("BAD\r\n\r\n") }, 6 * second, Close, page(closes, "400 Bad Request", "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDriver(t, newConfig(), nil)
			tt.begin(d)
			if got := d.conn.Deadline(); got != tt.deadline {
				t.Errorf("deadline %v, want %v", got, tt.deadline)
			}
			phase := d.conn.phase
			d.at(tt.deadline - 1).conn.Expire(d.now)
			if d.conn.phase != phase {
				t.Fatalf("expired too early, phase %d", d.conn.phase)
			}
			d.at(tt.deadline).conn.Expire(d.now)
			if d.pump() || d.step != tt.step || string(d.reply) != tt.reply {
				t.Errorf("step %v, want %v\n%s\nwant\n%s", d.step, tt.step, clip(string(d.reply)), clip(tt.reply))
			}
			if open := d.conn.reply.cfg.Site.(*fakeSite).open; open != 0 {
				t.Errorf("%d files left open", open)
			}
		})
	}
}

// startBig requests the large file and receives the head of the reply.
func startBig(d *driver) {
	d.in = append(d.in[:0], get("/big")...)
	d.conn.Receive(d.in, d.now)
	d.piece = 0 // the client takes nothing
	d.once()
	d.piece = 40 << 10
}

// The last reply has as much time to arrive as any other, although nothing follows it.
func TestUnsent(t *testing.T) {
	for _, raw := range []string{get("/"), get("/", "Connection: close"), "BAD\r\n\r\n", get("/") + "GET"} {
		d := newDriver(t, newConfig(), nil)
		d.at(7 * second).receive(raw)
		after := d.conn.Timer()
		d.conn.Unsent(100, d.now)
		if timer, got := d.conn.Timer(), d.conn.Deadline(); timer != TimerSend || got != 67*second {
			t.Errorf("%.40q: timer %v, deadline %v", raw, timer, got)
		}
		d.at(9*second).conn.Progress(1, d.now)
		if got := d.conn.Deadline(); got != 69*second {
			t.Errorf("%.40q: %v after progress", raw, got)
		}
		d.at(10*second).conn.Unsent(0, d.now)
		if timer := d.conn.Timer(); timer != after {
			t.Errorf("%.40q: timer %v when all has been sent, %v before", raw, timer, after)
		}
		d.at(11*second).conn.Unsent(100, d.now)
		d.at(71 * second).conn.Expire(d.now)
		if d.pump() || d.step != Reset {
			t.Errorf("%.40q: step %v when the client reads nothing", raw, d.step)
		}
	}
}

// Bytes that are sent at once, such as a reply of TLS to a KeyUpdate, give a client no more time.
func TestSentAtOnce(t *testing.T) {
	for _, raw := range []string{"GET /", get("/")} {
		d := newDriver(t, newConfig(), nil)
		d.at(second).receive(raw)
		due := d.conn.Deadline()
		d.at(9*second).conn.Unsent(0, d.now)
		if got := d.conn.Deadline(); got != due {
			t.Errorf("%q: deadline %v, want %v", raw, got, due)
		}
	}
}

// What follows a response has its whole time from when the response has been sent, also at a minimum rate, whose
// window the rest of the response does not fill.
func TestTimeAfterUnsent(t *testing.T) {
	const sent = 45 * second
	for _, c := range []struct {
		raw      string
		draining bool
		timer    Timer
		deadline time.Duration
	}{
		{get("/"), false, TimerIdle, sent + 30*second},
		{get("/") + "GET", false, TimerHead, sent + HeadTimeout},
		{"BAD\r\n\r\n", false, TimerLinger, sent + LingerTimeout},
		{get("/"), true, TimerLinger, sent + LingerTimeout},
	} {
		cfg := newConfig()
		cfg.MinRate = 1000
		d := newDriver(t, cfg, nil)
		if c.draining {
			d.conn.Drain(d.now)
		}
		d.receive(c.raw)
		d.conn.Unsent(20_000, d.now)
		d.at(20*second).conn.Unsent(10_000, d.now)
		if timer, got := d.conn.Timer(), d.conn.Deadline(); timer != TimerSend || got != SendTimeout {
			t.Errorf("%.40q: timer %v, deadline %v before all has been sent", c.raw, timer, got)
		}
		d.at(sent).conn.Unsent(0, d.now)
		if timer, got := d.conn.Timer(), d.conn.Deadline(); timer != c.timer || got != c.deadline {
			t.Errorf("%.40q: timer %v, deadline %v; want %v, %v", c.raw, timer, got, c.timer, c.deadline)
		}
	}
}

// A request that has been received behind another one is answered in a drain, however long the engine serves others
// between the two.
func TestDrainBetweenPipelined(t *testing.T) {
	d := newDriver(t, newConfig(), nil)
	d.conn.Receive([]byte(get("/big")+get("/a")), d.now)
	out, _ := d.conn.Next(nil, d.now)
	d.conn.Sent(int64(len(bigData)), d.now)
	if _, step := d.conn.Next(append(out, bigData...), d.now); step != Flush {
		t.Fatalf("step %d", step)
	}
	d.conn.Drain(d.now)
	if timer := d.at(2 * DrainGrace).conn.Expire(d.now); timer != TimerNone {
		t.Errorf("timer %d", timer)
	}
	if d.pump() || d.step != Linger || string(d.reply) != full(closes, "0123456789") {
		t.Errorf("step %d\n%s", d.step, d.reply)
	}
}

// A response that is still being prepared when a drain begins is the connection's last, unless another request has been
// received.
func TestDrainDuringPreparation(t *testing.T) {
	for _, path := range []string{"/a", "/shut"} {
		for _, more := range []string{"", get("/")} {
			cfg, _ := lockedConfig(3)
			cfg.List, cfg.Site = true, &listSite{fakeSite: cfg.Site.(*fakeSite), status: proto.StatusOK}
			d := newDriver(t, cfg, nil)
			d.in = append(d.in, get(path, basicField(ann))+more...)
			d.conn.Receive(d.in, d.now)
			if d.once(); d.step != Await {
				t.Fatalf("%s: step %d", path, d.step)
			}
			d.conn.Drain(d.now)
			alive := d.pump()
			first, _, _ := strings.Cut(string(d.reply), "\r\n\r\n")
			if closes := strings.Contains(first, "\r\nConnection: close"); alive || d.step != Linger || closes != (more == "") || strings.Count(string(d.reply), "Connection: close") != 1 {
				t.Errorf("%s and %q: alive %v, step %d\n%s", path, more, alive, d.step, d.reply)
			}
		}
	}
}

// The rules of draining: docs/design.md, "Drain".
func TestDrain(t *testing.T) {
	const drained = 100 * second
	tests := []struct {
		name     string
		before   string        // received before
		after    string        // received later, in the same moment
		reply    string        // in all
		step     Step          // the last one
		deadline time.Duration // while it reads or lingers
	}{
		{"idle has a last chance", "", "", "", Read, drained + DrainGrace},
		{"idle after a reply", get("/"), "", home, Read, drained + DrainGrace},
		{"the last chance is taken", get("/"), get("/a"), home + full(closes, "0123456789"), Linger, drained + LingerTimeout},
		{"a request under way is finished", "GET / HT", "TP/1.1\r\nHost: a\r\n\r\n", full(closes, "home"), Linger, drained + LingerTimeout},
		{"a head under way has its time", "GET / HT", "", "", Read, 10 * second},
		{"a body under way is finished", get("/", "Content-Length: 4") + "ab", "cd", full(closes, "home"), Linger, drained + LingerTimeout},
		{"pipelined requests are answered, the last with close", "", get("/") + get("/a") + get("/nope"),
			home + full("", "0123456789") + page(closes, "404 Not Found", ""), Linger, drained + LingerTimeout},
		{"half a pipelined request is waited for", "", get("/") + "GET /", home, Read, drained + HeadTimeout},
		{"a client that closes needs no lingering", "", get("/", "Connection: close"), full(closes, "home"), Close, drained},
		{"HTTP/1.0", "", "GET / HTTP/1.0\r\n\r\n", full(closes, "home"), Close, drained},
		{"HTTP/1.0 with keep-alive", "", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", full(closes, "home"), Linger, drained + LingerTimeout},
		{"an error", "", "BAD\r\n\r\n", page(closes, "400 Bad Request", ""), Linger, drained + LingerTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newConfig()
			cfg.KeepAlive = time.Hour
			d := newDriver(t, cfg, nil)
			if tt.before != "" {
				d.receive(tt.before)
			}
			d.at(drained).conn.Drain(d.now)
			if tt.after != "" {
				d.receive(tt.after)
			} else {
				d.pump()
			}
			if string(d.reply) != tt.reply || d.step != tt.step || d.conn.Deadline() != tt.deadline {
				t.Errorf("step %v, deadline %v\n%s\nwant step %v, deadline %v\n%s", d.step, d.conn.Deadline(), d.reply, tt.step, tt.deadline, tt.reply)
			}
		})
	}
}

// An idle connection is closed at the end of its grace period, not before.
func TestDrainGraceEnds(t *testing.T) {
	d := newDriver(t, newConfig(), nil)
	d.at(second).conn.Drain(d.now)
	d.at(2 * second).conn.Drain(d.now) // the first counts
	if got, want := d.conn.Deadline(), second+DrainGrace; got != want {
		t.Fatalf("deadline %v, want %v", got, want)
	}
	d.at(second + DrainGrace - 1).conn.Expire(d.now)
	if d.conn.Timer() != TimerGrace || !d.pump() {
		t.Fatal("closed too early")
	}
	d.at(second + DrainGrace).conn.Expire(d.now)
	if d.pump() || d.step != Close || len(d.reply) != 0 {
		t.Errorf("step %v, reply %q", d.step, d.reply)
	}
}

// A client that reads a few bytes a minute is disconnected while its worker drains, and
// not before.
func TestDrainEndsATrickle(t *testing.T) {
	for _, draining := range []bool{false, true} {
		d := newDriver(t, newConfig(), nil)
		startBig(d)
		if draining {
			d.conn.Drain(d.now)
		}
		d.piece = 1 << 10
		for i := range 3 {
			d.at(time.Duration(25*(i+1)) * second)
			d.conn.Expire(d.now)
			if alive := d.once(); !alive && !draining || alive && draining && i == 2 {
				t.Errorf("draining %v: alive after %d pieces: %v", draining, i, alive)
			}
		}
	}
}

// A download under way continues, however long it takes at the minimum rate. Its head has
// been sent already, so the connection gets its grace period after it.
func TestDrainDuringDownload(t *testing.T) {
	d := newDriver(t, newConfig(), nil)
	startBig(d)
	d.at(second).conn.Drain(d.now)
	for i := range 7 { // of 16 KiB
		d.piece = 16 << 10
		d.at(time.Duration(2+20*i) * second)
		d.conn.Expire(d.now)
		if !d.once() {
			t.Fatalf("ended after %d pieces", i)
		}
	}
	if string(d.reply) != full("", bigData) {
		t.Fatal("the content is wrong")
	}
	if !d.pump() || d.conn.Deadline() != d.now.Mono+DrainGrace {
		t.Errorf("deadline %v at %v", d.conn.Deadline(), d.now.Mono)
	}
	if d.receive(get("/")) || string(d.reply) != full("", bigData)+full(closes, "home") {
		t.Errorf("in the grace period: %s", d.reply[len(d.reply)-500:])
	}
}

// A client that pipelines without end gets Connection: close after a while.
func TestDrainEndsPipelining(t *testing.T) {
	d := newDriver(t, newConfig(), nil)
	d.conn.Drain(d.now)
	d.at(HeadTimeout)
	if !d.receive(get("/") + "G") {
		t.Fatal("ended too early")
	}
	d.at(HeadTimeout + 1)
	if d.receive("ET / HTTP/1.1\r\nHost: a\r\n\r\nGET") || d.step != Linger || string(d.reply) != home+full(closes, "home") {
		t.Errorf("step %v\n%s", d.step, d.reply)
	}
}

// A connection can be drained at any time without losing or repeating a byte of a reply:
// only Connection: close is added.
func TestDrainAnywhere(t *testing.T) {
	raw := get("/") + get("/a", "Content-Length: 2") + "xx" + get("/a", "Range: bytes=1-2") + request("HEAD", "/")
	for cut := range len(raw) + 1 {
		d := newDriver(t, newConfig(), nil)
		d.receive(raw[:cut])
		d.conn.Drain(d.now)
		alive := true
		if d.pump(); cut < len(raw) {
			alive = d.receive(raw[cut:])
		}
		last := mixedReplies
		if alive != (cut == len(raw)) || alive && string(d.reply) != last {
			t.Fatalf("cut at %d: alive %v\n%s", cut, alive, d.reply)
		}
		if got := without(string(d.reply), closes); got != last {
			t.Fatalf("cut at %d:\n%s", cut, got)
		}
	}
}
