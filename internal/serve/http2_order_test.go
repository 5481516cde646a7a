package serve_test

import (
	"bytes"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// During a long response with open windows, the client's frames are handled at once: a PING, a more urgent
// request, and RST_STREAM for the response.
func TestHTTP2ClientInterrupts(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, filepath.Join(dir, "huge"), 1<<34)
	servetest.Noise(t, filepath.Join(dir, "small"), 3000)
	for _, long := range []struct{ name, path string }{{"file", "/huge"}, {"made", "/?archive=tar"}} {
		for _, secure := range []bool{false, true} {
			name := long.name + " in the clear"
			if secure {
				name = long.name + " over TLS"
			}
			t.Run(name, func(t *testing.T) {
				eachEngine(t, func(t *testing.T, run servetest.Run) {
					change, done := archives(t, dir)
					defer done()
					c, s := tight(t, dir, run, secure, change)
					c.ask(1, long.path)
					for n := 0; n < 1<<20; {
						_, k := c.content()
						n += k
					}
					interrupt(t, c)
					c.conn.Close()
					s.Stop()
				})
			})
		}
	}
}

// inFlight bounds the bytes of one response that a client may still receive before the server handles what
// the client has sent: the bytes that a connection sends in a turn, and the buffers of two sockets.
const inFlight = 1<<20 + 1<<19

// interrupt interrupts the endless response on stream 1.
func interrupt(t *testing.T, c *h2client) {
	t.Helper()
	c.must(c.WritePing(false, [8]byte{1}))
	c.ask(3, "/small", hpack.HeaderField{Name: "priority", Value: "u=0"})
	pinged, answered := false, false
	for n := 0; !pinged || !answered; {
		f, k := c.content()
		switch h := f.Header(); h.Type {
		case http2.FramePing:
			pinged = true
		case http2.FrameData:
			answered = answered || h.StreamID == 3 && h.Flags.Has(http2.FlagDataEndStream)
		}
		if n += k; n > inFlight {
			t.Fatalf("%d bytes before the responses to PING (received: %t) and to the urgent request (received: %t)", n, pinged, answered)
		}
	}
	c.must(c.WriteRSTStream(1, http2.ErrCodeCancel))
	c.must(c.WritePing(false, [8]byte{2}))
	for n := 0; ; {
		f, k := c.content()
		if f.Header().Type == http2.FramePing {
			break
		}
		if n += k; n > inFlight {
			t.Fatalf("%d bytes of a response after its reset", n)
		}
	}
	c.ask(5, "/small")
	for {
		f, k := c.content()
		if k > 0 {
			t.Fatal("a response continues after its reset")
		}
		if h := f.Header(); h.Type == http2.FrameData && h.Flags.Has(http2.FlagDataEndStream) {
			return
		}
	}
}

// content reads a frame, and returns it and the number of bytes of stream 1's content in it.
func (h *h2client) content() (http2.Frame, int) {
	h.t.Helper()
	f, err := h.ReadFrame()
	h.must(err)
	if d, ok := f.(*http2.DataFrame); ok && d.StreamID == 1 {
		return f, len(d.Data())
	}
	return f, 0
}

// tightBuffer is the size of small socket buffers.
const tightBuffer = 64 << 10

// dialTight connects over a socket with a small receive buffer.
func dialTight(t *testing.T, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, tightBuffer) })
		return err
	}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// tight starts a server and connects to it over sockets with small buffers.
func tight(t *testing.T, dir string, run servetest.Run, secure bool, change func(*serve.Config)) (*h2client, *servetest.Server) {
	t.Helper()
	fd, addr := servetest.Listen(t)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, tightBuffer); err != nil {
		t.Fatal(err)
	}
	credentials, client := servetest.Credentials(t, nil)
	client.NextProtos = []string{"h2"}
	s := servetest.At(t, addr)
	if secure {
		s.Order(credentials)
	}
	s.ServeAll(dir, []serve.Listener{{FD: fd, Secure: secure}}, run, func(cfg *serve.Config) {
		change(cfg)
		speaksHTTP2(cfg)
	})
	c := dialTight(t, addr)
	if secure {
		return greetHTTP2(t, servetest.Handshake(t, c, client)), s
	}
	return greetHTTP2(t, c), s
}

// A flood ends the connection during a response too.
func TestHTTP2FloodDuringResponse(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, filepath.Join(dir, "huge"), 1<<34)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		c, s := tight(t, dir, run, false, func(*serve.Config) {})
		c.ask(1, "/huge")
		for n := 0; n == 0; {
			_, n = c.content()
		}
		const pings = 3000 // 51,000 bytes, which fit into the server's buffers
		var flood bytes.Buffer
		for range pings {
			c.must(http2.NewFramer(&flood, nil).WritePing(false, [8]byte{}))
		}
		servetest.Send(t, c.conn, flood.String())
		for n := 0; ; {
			f, k := c.content()
			if end, ok := f.(*http2.GoAwayFrame); ok {
				if end.ErrCode != http2.ErrCodeEnhanceYourCalm {
					t.Errorf("%v", end)
				}
				break
			}
			if n += k; n > inFlight {
				t.Fatalf("%d bytes after the flood, and the connection is still open", n)
			}
		}
		c.conn.Close()
		s.Stop()
	})
}

// A client that half-closes the connection during a response receives all of it.
func TestHTTP2ClientEndsItsSide(t *testing.T) {
	dir := t.TempDir()
	const size = 4 << 20
	servetest.Sparse(t, filepath.Join(dir, "large"), size)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		c, s := tight(t, dir, run, false, func(*serve.Config) {})
		c.ask(1, "/large")
		n := 0
		for n == 0 {
			_, n = c.content()
		}
		c.must(c.conn.(*net.TCPConn).CloseWrite())
		for {
			f, k := c.content()
			n += k
			if h := f.Header(); h.Type == http2.FrameData && h.Flags.Has(http2.FlagDataEndStream) {
				break
			}
		}
		if n != size {
			t.Errorf("the response has %d bytes, want %d", n, size)
		}
		c.conn.Close()
		s.Stop()
	})
}

// A drain is announced during a long response with open windows, whose client could otherwise request more and
// more on the connection.
func TestHTTP2DrainDuringResponse(t *testing.T) {
	duringResponse(t, func(t *testing.T, c *h2client, s *servetest.Server) {
		s.Order(serve.Drain{})
		for n := 0; ; {
			f, k := c.content()
			if f.Header().Type == http2.FrameGoAway {
				break
			}
			if n += k; n > 1<<30 {
				t.Fatal("no GOAWAY during the response")
			}
			if k > 0 {
				c.must(c.WriteWindowUpdate(0, uint32(k)))
			}
		}
		c.conn.Close()
		s.Wait()
	})
}

// A long response is listed as one that is being sent.
func TestHTTP2ResponseIsListed(t *testing.T) {
	duringResponse(t, func(t *testing.T, c *h2client, s *servetest.Server) {
		systest.Await(t, "the response in the list", func() bool {
			list := make(chan []serve.Seen, 1)
			s.Order(serve.List{Reply: list})
			all := <-list
			return len(all) == 1 && all[0].State == conn.Sending && string(all[0].Line) == "GET /huge"
		})
		c.conn.Close()
		s.Stop()
	})
}

// duringResponse calls a function while a client receives a long response, /huge, in each engine, in the clear and
// over TLS.
func duringResponse(t *testing.T, do func(*testing.T, *h2client, *servetest.Server)) {
	dir := t.TempDir()
	servetest.Sparse(t, filepath.Join(dir, "huge"), 1<<34)
	for name, secure := range map[string]bool{"in the clear": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, run servetest.Run) {
				c, s := tight(t, dir, run, secure, func(*serve.Config) {})
				c.ask(1, "/huge")
				for n := 0; n == 0; {
					_, n = c.content()
				}
				do(t, c, s)
			})
		})
	}
}
