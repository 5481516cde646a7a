package h2

import (
	"testing"
	"time"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
)

// counter is an observer that counts exchanges.
type counter struct{ received, decided, ended int }

func (o *counter) Received(*conn.Exchange) { o.received++ }
func (o *counter) Decided(*conn.Exchange)  { o.decided++ }
func (o *counter) Ended(*conn.Exchange)    { o.ended++ }

// FuzzConn sends a connection any bytes after the preface, in pieces, with time between
// them. In every case x/net's parser accepts all that the connection sends, nothing stays
// open, and memory does not grow.
func FuzzConn(f *testing.F) {
	c := connect(f)
	seed := func(write func()) {
		write()
		f.Add(append([]byte(nil), c.send.Bytes()...), uint16(7), uint16(100))
		c.send.Reset()
	}
	for _, a := range attacks {
		seed(func() {
			c.framer.WriteSettings()
			for i := range 3 {
				a.round(c, i)
			}
		})
	}
	seed(func() {
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
		c.get(1, "/a", "range", "bytes=0-0,5-6")
		c.get(3, "/list/", "priority", "u=1, i")
		c.headers(5, false, getFields("/", "expect", "100-continue")...)
		c.framer.WriteData(5, false, make([]byte, 40))
		c.headers(5, true, "trailer", "x")
		c.framer.WriteWindowUpdate(0, 1000)
	})
	f.Fuzz(func(t *testing.T, p []byte, cut, pause uint16) {
		obs := new(counter)
		c := newClient(t, newConfig(), obs)
		c.send.WriteString(conn.Preface)
		for first := true; len(p) > 0 || first; first = false {
			n := min(len(p), 1+int(cut))
			c.send.Write(p[:n])
			p = p[n:]
			c.flush()
			c.now.Mono += time.Duration(pause) * time.Millisecond
			if c.conn.Expire(c.now) != conn.TimerNone {
				c.run()
			}
			if c.step == conn.Linger || c.step == conn.Close || c.step == conn.Reset {
				break
			}
			if len(c.conn.in) > headerLen+maxFrame || len(c.conn.block) > maxBlock || len(c.conn.streams) > MaxStreams {
				t.Fatalf("%d bytes, a block of %d, %d streams", len(c.conn.in), len(c.conn.block), len(c.conn.streams))
			}
		}
		if c.conn.rest == 0 && c.in.Len() > 0 {
			t.Errorf("%d bytes are not a frame", c.in.Len())
		}
		if c.conn.Abort(nil); c.open() != 0 || obs.ended > obs.decided || len(c.conn.streams) > 0 {
			t.Errorf("%d files open, %+v", c.open(), obs)
		}
	})
}
