package http2

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// TestDownloadsDelayNoPage requests pages on one connection while another one of the same worker
// has a hundred downloads. On a machine of any speed, the delay is bounded by the bytes that the
// downloads receive between a request and its response: what the sockets hold, and what the
// server sends before it turns to other connections.
func TestDownloadsDelayNoPage(t *testing.T) {
	t.Parallel()
	const pages, usual, most = 50, 8 << 20, 64 << 20
	base, _ := website(t, 1000)
	harness.Sparse(t, filepath.Join(base, "huge.bin"), 1<<30)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		ways(t, base, func(t *testing.T, s *harness.Server, way string) {
			visitor, loader := newFrameConn(t, s, way), newFrameConn(t, s, way)
			alone := visitor.requestPages(pages, func() {}, func() {})
			loader.block = []byte("\x82\x87\x04\x09/huge.bin\x01\x06x.test")
			for range 100 {
				loader.request(true)
			}
			var got []int
			beside := visitor.requestPages(pages, func() { loader.drop(1 << 20) }, func() {
				n := 0
				for !visitor.readable() && n < most {
					n += loader.drop(1)
				}
				got = append(got, n)
			})
			slices.Sort(got)
			t.Logf("a page takes %v alone and %v during the downloads, which receive %d bytes (median) meanwhile, at most %d", alone, beside, got[pages/2], got[pages-1])
			if got[pages/2] > usual || got[pages-1] >= most {
				t.Errorf("the downloads receive %d bytes (median) before a page, at most %d; want at most %d and less than %d", got[pages/2], got[pages-1], usual, most)
			}
		}, "--model", model, "--workers", "1")
	})
}

// frameConn is an HTTP/2 connection that is written and read frame by frame.
type frameConn struct {
	t *testing.T
	attacker
	raw   net.Conn // the TCP connection
	under net.Conn // the connection that carries the frames, maybe TLS
}

// newFrameConn opens such a connection, with the largest windows and a small receive buffer.
func newFrameConn(t *testing.T, s *harness.Server, way string) *frameConn {
	t.Helper()
	c, err := harness.ConnectNarrow(s.Port, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw := c.Conn
	if way == overTLS {
		if err := c.Encrypt(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	// Nothing is read ahead, so that unread bytes stay in raw's socket.
	k := &frameConn{t, attacker{http2.NewFramer(c.Conn, c.Conn), 1, []byte(page)}, raw, c.Conn}
	if err := c.Send(http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	k.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	k.WriteWindowUpdate(0, 1<<31-1<<16)
	return k
}

// requestPages requests a page n times and returns the median time. It calls before ahead of each request
// and during ahead of reading its response.
func (k *frameConn) requestPages(n int, before, during func()) time.Duration {
	k.t.Helper()
	var took []time.Duration
	for range n {
		before()
		began := time.Now()
		k.request(true)
		during()
		for done := false; !done; {
			f, err := k.ReadFrame()
			if err != nil {
				k.t.Fatal(err)
			}
			d, ok := f.(*http2.DataFrame)
			if done = ok && d.StreamEnded(); done && string(d.Data()) != "0123456789" {
				k.t.Fatalf("the page is %q, want \"0123456789\"", d.Data())
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[n/2]
}

// drop reads and discards at least n bytes.
func (k *frameConn) drop(n int) (got int) {
	k.t.Helper()
	for buf := make([]byte, 64<<10); got < n; {
		m, err := k.raw.Read(buf)
		if got += m; err != nil {
			k.t.Fatal(err)
		}
	}
	return got
}

// awaitEnd waits for GOAWAY and closes the connection.
func (k *frameConn) awaitEnd() {
	k.t.Helper()
	for {
		f, err := k.ReadFrame()
		if err != nil {
			k.t.Fatal(err)
		}
		if f.Header().Type == http2.FrameGoAway {
			k.under.Close()
			return
		}
	}
}

// readable reports whether the socket has bytes to read.
func (k *frameConn) readable() (yes bool) {
	k.t.Helper()
	raw, err := k.raw.(*net.TCPConn).SyscallConn()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		yes = err == nil && n > 0 || err != nil && err != syscall.EAGAIN
	}); err != nil {
		k.t.Fatal(err)
	}
	return yes
}
