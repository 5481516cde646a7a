package h2

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
)

// While a DATA frame is being sent, no more than the beginning of another frame is buffered
// besides the bytes just received.
func TestReceives(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	c.get(1, "/huge")
	c.conn.Receive(bytes.Clone(c.send.Bytes()), c.now)
	c.send.Reset()
	if c.out, c.step = c.conn.Next(c.out[:0], c.now); c.step != conn.Send || !c.conn.Receives() {
		t.Fatalf("step %v, receives: %t", c.step, c.conn.Receives())
	}
	c.in.Write(c.out)
	ping := make([]byte, 0, 32<<10)
	for len(ping) < headerLen+maxFrame {
		ping = appendPing(ping, 0, make([]byte, 8))
	}
	if c.conn.Receive(ping, c.now); c.conn.Receives() {
		t.Error("the connection receives more than it can buffer")
	}
	c.conn.Hold()
	c.once() // the frame, and then what was received
	c.once()
	if !c.conn.Receives() || c.conn.Rest() > 0 {
		t.Errorf("%d bytes are left", c.conn.Rest())
	}
}

// The age of a response is the time since its request began, whatever has been sent since. A
// connection shows its oldest response.
func TestViewOfOldest(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	c.framer.WriteWindowUpdate(0, 1<<30)
	began := c.now.Mono
	for n, path := range []string{"/huge", "/huge?later"} {
		c.get(uint32(1+2*n), path)
		c.flush()
		for range 3 {
			c.now.Mono += time.Minute
			c.framer.WriteWindowUpdate(1, 1<<16)
			c.flush()
			if v := c.conn.View(); v.State != conn.Sending || v.Since != began || string(v.Line) != "GET /huge" || v.Sent != c.bodies[1] {
				t.Errorf("%q since %v, want %v; sent %d of %d", v.Line, v.Since, began, v.Sent, c.bodies[1])
			}
		}
	}
}
