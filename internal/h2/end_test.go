package h2

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
)

// A connection that drains tells the client twice, and ends with its last stream
// (RFC 9113 §6.8).
func TestDrain(t *testing.T) {
	for _, acked := range []bool{true, false} {
		c := connect(t)
		c.framer.WriteWindowUpdate(0, 1<<20)
		c.get(1, "/huge")
		c.flush()
		c.conn.Drain(c.now)
		c.run()
		if len(c.goaway) != 1 || c.goaway[0].LastStreamID != maxWindow || len(c.pings) != 1 {
			t.Fatalf("GOAWAY %v, pings %v", c.goaway, c.pings)
		}
		c.get(3, "/") // on its way
		c.flush()
		c.answered(3, "200", 4)
		if acked {
			c.framer.WritePing(true, c.pings[0].Data)
		} else {
			c.now.Mono += conn.DrainGrace
		}
		c.flush()
		if len(c.goaway) != 2 || c.goaway[1].LastStreamID != 3 || c.goaway[1].ErrCode != 0 {
			t.Fatalf("GOAWAY %v", c.goaway)
		}
		c.get(5, "/") // not taken
		c.flush()
		c.framer.WriteRSTStream(1, http2.ErrCodeCancel)
		c.flush()
		if c.step != conn.Linger || c.heads[5] != "" || len(c.goaway) != 2 {
			t.Errorf("step %d, heads %v, GOAWAY %v", c.step, c.heads, c.goaway)
		}
	}
}

// Frames after a request that was under way when the final GOAWAY was sent are no error: the
// streams that the server has accepted continue (RFC 9113 §6.8).
func TestBehindTheFinalGoAway(t *testing.T) {
	for name, do := range map[string]func(c *client){
		"WINDOW_UPDATE": func(c *client) { c.get(3, "/"); c.framer.WriteWindowUpdate(3, 1000) },
		"RST_STREAM":    func(c *client) { c.get(3, "/"); c.framer.WriteRSTStream(3, http2.ErrCodeCancel) },
		"PRIORITY":      func(c *client) { c.get(3, "/"); c.framer.WritePriority(3, http2.PriorityParam{Weight: 3}) },
		"DATA": func(c *client) {
			c.headers(3, false, getFields("/")...)
			c.framer.WriteData(3, true, []byte("x"))
		},
		"trailers": func(c *client) {
			c.headers(3, false, getFields("/")...)
			c.headers(3, true, "x-sum", "1")
		},
		"requests": func(c *client) {
			c.get(3, "/")
			c.get(9, "/")
			c.framer.WriteWindowUpdate(3, 1000)
			c.framer.WriteWindowUpdate(9, 1000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t)
			c.get(1, "/big")
			c.flush()
			c.conn.Drain(c.now)
			c.run()
			c.framer.WritePing(true, c.pings[0].Data)
			do(c)
			c.framer.WriteWindowUpdate(0, 1<<20)
			c.framer.WriteWindowUpdate(1, 1<<20)
			c.flush()
			c.answered(1, "200", 102400)
			if len(c.goaway) != 2 || c.goaway[1].LastStreamID != 1 || len(c.heads) != 1 || len(c.resets) > 0 || c.step != conn.Linger {
				t.Errorf("GOAWAY %v, heads %v, resets %v, step %d", c.goaway, c.heads, c.resets, c.step)
			}
		})
	}
}

// A GOAWAY for an error after the final GOAWAY does not have a higher last stream ID
// (RFC 9113 §6.8).
func TestErrorBehindTheFinalGoAway(t *testing.T) {
	c := connect(t)
	c.get(1, "/huge")
	c.flush()
	c.conn.Drain(c.now)
	c.run()
	c.framer.WritePing(true, c.pings[0].Data)
	c.get(3, "/")
	c.framer.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8))
	c.flush()
	c.failed(ProtocolError)
	if last := c.goaway[len(c.goaway)-1]; last.LastStreamID != 1 {
		t.Errorf("GOAWAY %v", last)
	}
}

// Each timer ends what it is for.
func TestTimers(t *testing.T) {
	for _, r := range []struct {
		name  string
		do    func(c *client)
		timer conn.Timer
		after time.Duration
		step  conn.Step
		code  int // of GOAWAY; -1: none
	}{
		{"idle", func(c *client) {}, conn.TimerIdle, 30 * time.Second, conn.Linger, int(NoError)},
		{"draining", func(c *client) { c.conn.Drain(c.now); c.run() }, conn.TimerGrace, conn.DrainGrace, conn.Linger, int(NoError)},
		{"half a frame", func(c *client) { c.send.WriteString("\x00\x00") }, conn.TimerHead, conn.HeadTimeout, conn.Linger, int(NoError)},
		{"half a block", func(c *client) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
		}, conn.TimerHead, conn.HeadTimeout, conn.Linger, int(NoError)},
		{"content that does not come", func(c *client) { c.headers(1, false, getFields("/")...) }, conn.TimerHead, conn.HeadTimeout, conn.Read, -1},
		{"a window that is not opened", func(c *client) { c.get(1, "/huge") }, conn.TimerSend, conn.SendTimeout, conn.Linger, int(EnhanceYourCalm)},
		{"bytes that are not taken", func(c *client) { c.conn.Unsent(100, c.now) }, conn.TimerSend, conn.SendTimeout, conn.Reset, -1},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := connect(t)
			r.do(c)
			c.flush()
			timer, after := c.conn.Timer(), c.conn.Deadline()-c.now.Mono
			if timer != r.timer || after != r.after {
				t.Errorf("timer %d after %v, want %d after %v", timer, after, r.timer, r.after)
			}
			c.now.Mono += after - 1
			if got := c.conn.Expire(c.now); got != conn.TimerNone {
				t.Fatalf("timer %d was due too early", got)
			}
			c.now.Mono++
			if got := c.conn.Expire(c.now); got != r.timer {
				t.Errorf("timer %d, want %d", got, r.timer)
			}
			c.run()
			code := -1
			if n := len(c.goaway); n > 0 {
				code = int(c.goaway[n-1].ErrCode)
			}
			if c.step != r.step || code != r.code {
				t.Errorf("step %d, GOAWAY %v", c.step, c.goaway)
			}
			if r.step == conn.Read && c.heads[1] != "408" {
				t.Errorf("heads %v", c.heads)
			}
			if c.step == conn.Linger {
				if c.now.Mono += conn.LingerTimeout; c.conn.Expire(c.now) != conn.TimerLinger {
					t.Error("the connection lingers forever")
				}
				if c.run(); c.step != conn.Close {
					t.Errorf("step %d", c.step)
				}
			}
		})
	}
}

// The time in which the server waited is not the client's, whichever deadline applies.
func TestServerWaitIsNotCounted(t *testing.T) {
	for name, do := range map[string]func(c *client){
		"idle":         func(c *client) {},
		"half a frame": func(c *client) { c.send.WriteString("\x00\x00") },
		"content":      func(c *client) { c.headers(1, false, getFields("/")...) },
		"a response":   func(c *client) { c.get(1, "/huge") },
	} {
		c := connect(t)
		do(c)
		c.flush()
		due := c.conn.Deadline()
		c.now.Mono += 8 * time.Second
		c.conn.Waited(c.now.Mono-5*time.Second, c.now)
		if got := c.conn.Deadline(); got != due+5*time.Second {
			t.Errorf("%s: %v later, want 5 s", name, got-due)
		}
	}
}

// A stream whose window stays closed is reset, although others continue.
func TestStalledStream(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.get(1, "/page")
	c.flush()
	for range 70 {
		c.now.Mono += time.Second
		c.get(c.conn.last+2, "/empty")
		c.flush()
	}
	if c.resets[1] != EnhanceYourCalm || c.open() != 0 || len(c.goaway) > 0 {
		t.Errorf("resets %v, %d open, GOAWAY %v", c.resets, c.open(), c.goaway)
	}
}

// An attacker that does not even take the GOAWAY frame is counted for its attack.
func TestReasonStays(t *testing.T) {
	c := connect(t)
	for range budgetPoints + 1 {
		c.framer.WritePing(false, [8]byte{})
	}
	c.flush()
	c.conn.Unsent(100, c.now)
	c.now.Mono += conn.SendTimeout
	if timer := c.conn.Expire(c.now); timer != conn.TimerSend || c.conn.Reason() != ReasonPings {
		t.Errorf("timer %d, reason %q", timer, c.conn.Reason())
	}
}

// With a minimum rate a client has to read as much in each minute as the rate requires, in
// however many batches the responses are sent.
func TestMinRate(t *testing.T) {
	for _, r := range []struct {
		name  string
		batch int // bytes; each takes the client 20 s
		timer conn.Timer
	}{
		{"enough", 2000, conn.TimerNone},
		{"a little less", 1999, conn.TimerRate},
	} {
		t.Run(r.name, func(t *testing.T) {
			cfg := newConfig()
			cfg.MinRate = 100 // 6,000 bytes a minute
			c := newClient(t, cfg, nil)
			c.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			c.get(1, "/huge")
			c.flush()
			for range 3 {
				c.conn.Unsent(r.batch, c.now)
				c.now.Mono += 20 * time.Second
				c.conn.Unsent(0, c.now)
			}
			if timer := c.conn.Expire(c.now); timer != r.timer {
				t.Errorf("timer %d, want %d", timer, r.timer)
			}
		})
	}
}

// A client that does not read a DATA frame is not kept by another response that waits for the
// server: the frame has to be sent first.
func TestStalledBesideAWait(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	c.http.Site.(*fakeSite).list = []string{""}
	c.get(1, "/list/")
	c.flush()
	c.get(3, "/huge")
	c.conn.Receive(bytes.Clone(c.send.Bytes()), c.now)
	if c.out, c.step = c.conn.Next(c.out[:0], c.now); c.step != conn.Send || c.conn.waiting != 1 {
		t.Fatalf("step %d, %d streams wait", c.step, c.conn.waiting)
	}
	c.now.Mono += conn.SendTimeout
	if timer := c.conn.Expire(c.now); timer != conn.TimerSend {
		t.Errorf("timer %d", timer)
	}
	if _, c.step = c.conn.Next(nil, c.now); c.step != conn.Reset || c.open() != 0 {
		t.Errorf("step %d, %d files open", c.step, c.open())
	}
}

// A client that opens the window of a generated response bit by bit makes progress, although
// the socket accepts each bit at once.
func TestGeneratedContentIsProgress(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	c.http.Site.(*fakeSite).list = []string{strings.Repeat("x", 1000)}
	c.get(1, "/list/")
	c.flush()
	for range 7 {
		c.now.Mono += 10 * time.Second
		c.framer.WriteWindowUpdate(1, 10)
		c.flush()
		if timer := c.conn.Expire(c.now); timer != conn.TimerNone {
			t.Fatalf("timer %d after %d bytes", timer, c.bodies[1])
		}
	}
	if c.bodies[1] != 80 {
		t.Errorf("%d bytes", c.bodies[1])
	}
}

// A frame must be complete in time, even if its bytes keep arriving, and even if its payload
// is discarded.
func TestSlowFrames(t *testing.T) {
	for name, do := range map[string]func(c *client){
		"an unknown type": func(c *client) { c.send.WriteString("\x00\x40\x00\xbb\x00\x00\x00\x00\x00") },
		"GOAWAY":          func(c *client) { begin(1)(c); c.send.WriteString("\x00\x40\x00\x07\x00\x00\x00\x00\x00") },
		"DATA":            func(c *client) { begin(1)(c); c.send.WriteString("\x00\x40\x00\x00\x00\x00\x00\x00\x01") },
		"padding":         func(c *client) { begin(1)(c); c.send.WriteString("\x00\x01\x00\x00\x08\x00\x00\x00\x01\xff") },
		"a header block": func(c *client) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			c.flush()
			c.now.Mono += 5 * time.Second
			c.framer.WriteContinuation(1, false, []byte{0x87})
		},
		"SETTINGS": func(c *client) { c.send.WriteString("\x00\x00\x60\x04\x00\x00\x00\x00\x00") },
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t)
			c.now.Mono += 20 * time.Second // it was idle
			began := c.now.Mono
			do(c)
			c.flush()
			for c.conn.Expire(c.now) == conn.TimerNone {
				if c.now.Mono-began > conn.HeadTimeout {
					t.Fatalf("the connection continues after %v", c.now.Mono-began)
				}
				if v := c.conn.View(); v.State != conn.Receiving || v.Since != began {
					t.Fatalf("state %d since %v, want %v", v.State, v.Since, began)
				}
				c.send.WriteByte(0)
				c.flush()
				c.now.Mono += time.Second
			}
			c.run()
			if c.failed(NoError); c.conn.Reason() != ReasonSlow || c.now.Mono-began != conn.HeadTimeout {
				t.Errorf("reason %q after %v", c.conn.Reason(), c.now.Mono-began)
			}
		})
	}
}

// Only requests keep a connection alive.
func TestIdle(t *testing.T) {
	for _, r := range []struct {
		name string
		do   func(c *client)
		left time.Duration // until it ends
	}{
		{"nothing", func(c *client) {}, 20 * time.Second},
		{"PING", func(c *client) { c.framer.WritePing(false, [8]byte{}) }, 20 * time.Second},
		{"PING whose answer is sent at once", func(c *client) {
			c.framer.WritePing(false, [8]byte{})
			c.flush()
			c.conn.Unsent(0, c.now)
		}, 20 * time.Second},
		{"SETTINGS", func(c *client) { c.framer.WriteSettings() }, 20 * time.Second},
		{"WINDOW_UPDATE", func(c *client) { c.framer.WriteWindowUpdate(0, 1) }, 20 * time.Second},
		{"PRIORITY", func(c *client) { c.framer.WritePriority(3, http2.PriorityParam{}) }, 20 * time.Second},
		{"an unknown frame", func(c *client) { c.framer.WriteRawFrame(0xbb, 0, 0, nil) }, 20 * time.Second},
		{"a slow frame", func(c *client) {
			c.send.WriteString("\x00\x00\x08\x06\x00\x00\x00\x00")
			c.flush()
			c.now.Mono += 5 * time.Second
			c.send.WriteString("\x00abcdefgh")
		}, 15 * time.Second},
		{"a request", func(c *client) { c.get(1, "/") }, 30 * time.Second},
		{"a request that is reset", func(c *client) { c.get(1, "/", "connection", "x") }, 30 * time.Second},
		{"a request that the client resets", func(c *client) {
			begin(1)(c)
			c.flush()
			c.now.Mono += 5 * time.Second
			c.framer.WriteRSTStream(1, http2.ErrCodeCancel)
		}, 30 * time.Second},
		{"a long response", func(c *client) {
			c.http.Site.(*fakeSite).list = []string{"", "x"}
			c.get(1, "/list/")
			c.flush()
			c.now.Mono += time.Hour
			c.http.Site.(*fakeSite).listed.more()
		}, 30 * time.Second},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := connect(t)
			c.now.Mono += 10 * time.Second
			r.do(c)
			c.flush()
			if left := c.conn.Deadline() - c.now.Mono; c.conn.Timer() != conn.TimerIdle || left != r.left {
				t.Errorf("timer %d in %v, want %v", c.conn.Timer(), left, r.left)
			}
		})
	}
}

// Requests that the server resets do not keep the connection of a client that reads nothing.
func TestResetsAreNoProgress(t *testing.T) {
	c := connect(t)
	c.conn.Unsent(100, c.now)
	due := c.conn.Deadline()
	c.now.Mono += time.Second
	c.get(1, "/", "connection", "x")
	c.flush()
	if c.conn.Timer() != conn.TimerSend || c.conn.Deadline() != due {
		t.Errorf("timer %d at %v, want %v", c.conn.Timer(), c.conn.Deadline(), due)
	}
}
