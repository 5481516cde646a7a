package h2

import (
	"bytes"
	"testing"

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
