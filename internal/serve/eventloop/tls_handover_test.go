package eventloop

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// newSecureLoops returns loops for TLS, and the configuration of its clients.
func newSecureLoops(t *testing.T) (*loops, *tls.Config) {
	t.Helper()
	credentials, client := servetest.Credentials(t, nil)
	return newLoopsWith(t, &credentials, nil), client
}

func (l *loops) secureClient(client *tls.Config) *loopClient {
	l.t.Helper()
	c := l.last.DialTLS(client)
	l.clients++
	return &loopClient{c, l, l.clients, bufio.NewReader(c)}
}

// TLS 1.3 connections are handed over like others: idle ones, ones with part of a head or of a record, and downloads. The
// old loop ends at once.
func TestSecureConnectionsMove(t *testing.T) {
	servetest.NoLeaks(t, func(t *testing.T) {
		l, client := newSecureLoops(t)
		big := servetest.Noise(t, l.dir+"/big", 48<<20)
		idle, half, download := l.secureClient(client), l.secureClient(client), l.secureClient(client)
		raw := &holding{Conn: l.last.Dial()}
		secure := servetest.Handshake(t, raw, client)
		inRecord := &loopClient{secure, l, 4, bufio.NewReader(secure)}
		for _, c := range []*loopClient{idle, half, inRecord} {
			c.ask()
		}
		request := servetest.Get("/small")
		half.send(request[:10])
		raw.most = 7 // bytes of the next record
		inRecord.send(request)
		res, r := servetest.Begin(t, download, "/big", 1<<20)
		const moves = 5
		for i := range moves {
			old := l.replace()
			old.Wait()
			idle.ask()
			half.send(request[10+i : 11+i])
			if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		half.send(request[10+moves:])
		half.served()
		raw.release(t)
		inRecord.served()
		got, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(got, big[(1+moves)<<20:]) {
			t.Errorf("the download: wrong content of %d bytes, error %v", len(got), err)
		}
		download.r = r
		download.ask()
		for _, c := range []*loopClient{idle, half, download, inRecord} {
			c.ask()
			c.Close()
		}
		l.last.Stop()
	})
}

// holding is a connection that can hold back what is written after a number of bytes.
type holding struct {
	net.Conn
	mu   sync.Mutex
	most int // 0: hold back nothing; guarded by mu
	held []byte
}

func (h *holding) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.most == 0 {
		return h.Conn.Write(p)
	}
	n := min(len(p), max(0, h.most-len(h.held)))
	h.held = append(h.held, p[n:]...)
	if _, err := h.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// release sends what was held back.
func (h *holding) release(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.most = 0; len(h.held) == 0 {
		t.Error("nothing was held back")
	}
	if _, err := h.Conn.Write(h.held); err != nil {
		t.Fatal(err)
	}
}

// TLS 1.2 connections cannot be handed over: the old loop serves them until their next response, which has
// Connection: close.
func TestSecureConnectionsStay(t *testing.T) {
	servetest.NoLeaks(t, func(t *testing.T) {
		var later atomic.Int64
		began := time.Now()
		credentials, client := servetest.Credentials(t, nil)
		l := newLoopsWith(t, &credentials, func(cfg *serve.Config) {
			cfg.Clock = func() (time.Time, time.Duration) {
				now := time.Now()
				return now, now.Sub(began) + time.Duration(later.Load())
			}
		})
		client.MaxVersion = tls.VersionTLS12
		servetest.Sparse(t, l.dir+"/big", 64<<20)
		idle, download := l.secureClient(client), l.secureClient(client)
		idle.ask()
		res, r := servetest.Begin(t, download, "/big", 1<<20)
		old := l.replace()
		later.Store(int64(2 * conn.DrainGrace)) // idle connections are not closed
		if n, err := io.Copy(io.Discard, res.Body); n != 63<<20 || err != nil {
			t.Errorf("the download: %d bytes, error %v", n, err)
		}
		for _, c := range []*loopClient{idle, {download, l, 2, r}} {
			c.send(servetest.Get("/small"))
			res, body := servetest.Receive(t, c.r)
			if res.StatusCode != 200 || len(body) != 100 || !res.Close {
				t.Errorf("%s, %d bytes, close %v; want 200 with the file and a close", res.Status, len(body), res.Close)
			}
			if n, err := c.r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%d bytes and error %v after the last response, want EOF", n, err)
			}
			c.Close()
		}
		old.Wait()
		l.last.Stop()
	})
}

// A handshake is completed where it began; then the connection is handed over.
func TestHandshakeThenMove(t *testing.T) {
	servetest.NoLeaks(t, func(t *testing.T) {
		l, client := newSecureLoops(t)
		l.secureClient(client).ask() // so the loop runs
		raw := &holding{Conn: l.last.Dial(), most: 100}
		c := tls.Client(raw, client)
		handshake := make(chan error, 1)
		go func() { handshake <- c.HandshakeContext(t.Context()) }()
		systest.Await(t, "the beginning of a handshake", func() bool {
			seen := make(chan []serve.Seen, 1)
			l.last.Order(serve.List{Reply: seen})
			for _, s := range <-seen {
				if s.State == conn.Receiving {
					return true
				}
			}
			return false
		})
		row := new(scoreboard.Row)
		l.change = func(cfg *serve.Config) { cfg.Row = row }
		old := l.replace()
		systest.Await(t, "one connection taken over", func() bool { return row.TakenOver.Load() == 1 })
		raw.release(t)
		if err := <-handshake; err != nil {
			t.Fatal(err)
		}
		old.Wait()
		(&loopClient{c, l, 2, bufio.NewReader(c)}).ask()
		if n := row.TakenOver.Load(); n != 2 {
			t.Errorf("%d connections taken over, want 2", n)
		}
		c.Close()
		l.last.Stop()
	})
}
