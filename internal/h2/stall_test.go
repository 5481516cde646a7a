package h2

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
)

// A stream with bytes that the client has not acknowledged has its time only once they are: the client
// could not open its window before.
func TestStreamInTheQueueIsNotStalled(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 60_000})
	c.framer.WriteWindowUpdate(0, 1<<20)
	c.get(1, "/huge")
	c.flush()
	step := func(queued int64) {
		t.Helper()
		c.now.Mono += time.Second
		c.conn.Progress(500, c.now)
		c.conn.Queued(queued, c.now)
		c.get(c.conn.last+2, "/empty")
		if c.flush(); len(c.goaway) > 0 {
			t.Fatalf("GOAWAY %v", c.goaway)
		}
	}
	for i := range int64(119) {
		step(60_000 - 500*i)
	}
	for range 59 {
		step(0)
	}
	if len(c.resets) > 0 {
		t.Fatalf("resets %v", c.resets)
	}
	for range 2 {
		step(0)
	}
	if c.resets[1] != EnhanceYourCalm || c.open() != 0 {
		t.Errorf("resets %v, %d open", c.resets, c.open())
	}
}

// The time of a stream whose window is closed begins with its response, not while more urgent ones delay it.
func TestStreamBehindAnotherIsNotStalled(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.framer.WriteWindowUpdate(0, 100<<20)
	c.get(1, "/huge", "priority", "u=0")
	c.flush()
	c.framer.WriteWindowUpdate(1, 80<<20)
	c.get(3, "/page", "priority", "u=7")
	c.conn.Receive(bytes.Clone(c.send.Bytes()), c.now)
	c.send.Reset()
	for range 70 {
		c.now.Mono += time.Second
		c.once()
	}
	if c.heads[3] != "" {
		t.Fatal("the urgent response does not delay the other")
	}
	c.run()
	c.now.Mono += conn.SendTimeout - time.Second
	c.get(5, "/empty")
	c.flush()
	if c.heads[3] != "200" || len(c.resets) > 0 || len(c.goaway) > 0 {
		t.Errorf("heads %v, resets %v, GOAWAY %v", c.heads, c.resets, c.goaway)
	}
}

// While the connection lingers, the client has as much time for the last responses as before the end.
func TestInTime(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.now.Mono += time.Hour
	c.conn.Linger(c.now)
	const minute = conn.DrainRate * 60
	for i, r := range []struct {
		after time.Duration
		n     int64
		want  bool
	}{
		{59 * time.Second, minute - 1, true},
		{0, -5, true}, // a frame was sent
		{0, 1, true},  // the next minute begins
		{59 * time.Second, minute - 1, true},
		{time.Second, 0, false},
	} {
		c.now.Mono += r.after
		c.conn.Linger(c.now) // once more
		if got := c.conn.InTime(r.n, c.now); got != r.want {
			t.Errorf("%d: %t, want %t", i, got, r.want)
		}
	}
}

// If no other stream makes progress, a closed window ends the connection, not only its stream, however often Next
// is called.
func TestStalledStreamAlone(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 60_000})
	c.get(1, "/huge")
	c.flush()
	queued := int64(60_000)
	timer := conn.TimerNone
	for second := 0; timer == conn.TimerNone; second++ {
		if second > 20+int(conn.SendTimeout/time.Second) {
			t.Fatal("the connection does not end")
		}
		got := min(queued, 3000)
		queued -= got
		c.now.Mono += time.Second
		c.conn.Progress(got, c.now)
		c.conn.Queued(queued, c.now)
		timer = c.conn.Expire(c.now)
		if c.run(); len(c.resets) > 0 {
			t.Fatalf("resets %v after %d s", c.resets, second)
		}
	}
	if c.failed(EnhanceYourCalm); timer != conn.TimerSend || c.conn.Reason() != ReasonStalled {
		t.Errorf("timer %d, reason %q", timer, c.conn.Reason())
	}
}

// A closed window ends the connection, not only its stream, even if the engine calls Next before the late Expire.
func TestStalledStreamOfLateEngine(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.get(1, "/huge")
	c.flush()
	c.now.Mono += conn.SendTimeout
	c.framer.WritePing(false, [8]byte{})
	if c.flush(); len(c.resets) > 0 {
		t.Fatalf("resets %v", c.resets)
	}
	timer := c.conn.Expire(c.now)
	c.run()
	if c.failed(EnhanceYourCalm); timer != conn.TimerSend || c.conn.Reason() != ReasonStalled {
		t.Errorf("timer %d, reason %q", timer, c.conn.Reason())
	}
}

// A stream whose window stays closed is reset even if the others are never under way when the engine calls Next.
func TestStalledStreamAmongShortOnes(t *testing.T) {
	for _, short := range []string{"/page", "/empty"} {
		c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		c.framer.WriteWindowUpdate(0, 1<<30)
		c.get(1, "/page")
		c.flush()
		c.now.Mono += 300 * time.Millisecond
		for range conn.SendTimeout/time.Second + 1 {
			c.now.Mono += 700 * time.Millisecond
			c.conn.Progress(0, c.now)
			c.conn.Queued(0, c.now)
			if timer := c.conn.Expire(c.now); timer != conn.TimerNone {
				t.Fatalf("%s: timer %d", short, timer)
			}
			c.run()
			c.now.Mono += 300 * time.Millisecond
			id := c.conn.last + 2
			c.get(id, short)
			c.framer.WriteWindowUpdate(id, 1<<20)
			c.flush()
		}
		if c.resets[1] != EnhanceYourCalm || len(c.resets) != 1 || len(c.goaway) > 0 {
			t.Errorf("%s: resets %v, GOAWAY %v", short, c.resets, c.goaway)
		}
	}
}

// Responses without content are no progress while the window of the connection is closed: the other streams
// wait for that, and none of them is reset.
func TestClosedConnectionAmongShortOnes(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	c.get(1, "/huge") // takes the whole window
	c.flush()
	for second := range 2 * conn.SendTimeout / time.Second {
		c.now.Mono += time.Second
		if timer := c.conn.Expire(c.now); timer != conn.TimerNone {
			if timer != conn.TimerSend || second < conn.SendTimeout/time.Second-1 {
				t.Errorf("timer %d after %d s", timer, second)
			}
			return
		}
		c.get(c.conn.last+2, "/empty")
		c.flush()
	}
	t.Error("the connection does not end")
}
