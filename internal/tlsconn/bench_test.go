package tlsconn

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// withoutRecordLayer leaves TLS 1.3 connections to crypto/tls.
func withoutRecordLayer(c *Conn) {
	if c.library != nil {
		c.library.wire.log.found = false
	}
}

// ways lists the ways in which a connection can be served after its handshake.
var ways = []struct {
	name   string
	client func(*tls.Config)
	before func(*Conn)
}{
	{"record layer", nil, nil},
	{"crypto-tls", nil, withoutRecordLayer},
	{"crypto-tls 1.2", only12, nil},
}

// established performs a handshake and returns both ends.
func established(t testing.TB, change func(*tls.Config), before func(*Conn)) (*server, *tls.Conn) {
	t.Helper()
	cfg, client := setup(t, nil)
	if change != nil {
		change(client)
	}
	s := newServer(cfg)
	s.before = before
	c := tls.Client(s, client)
	ask(t, c, "one", "you said one")
	return s, c
}

// script is a series of requests as a client's records, with what a server does for each.
type script struct {
	server  *server
	client  *tls.Conn
	records [][]byte
	page    []byte
	out     []byte
}

func newScript(t testing.TB, change func(*tls.Config), before func(*Conn), n, size int) *script {
	t.Helper()
	s, c := established(t, change, before)
	sc := &script{server: s, client: c, page: make([]byte, size), out: make([]byte, 0, MaxSealed(size))}
	for range n {
		s.in = nil
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")
		sc.records = append(sc.records, s.in)
	}
	s.in = nil
	return sc
}

func (sc *script) serve() bool {
	s := sc.server
	record := sc.records[0]
	sc.records = sc.records[1:]
	s.turn.Plain, s.turn.Out = s.turn.Plain[:0], s.turn.Out[:0]
	s.conn.Receive(record)
	if s.conn.Next(&s.turn) != Read || len(s.turn.Plain) < 20 {
		return false
	}
	s.conn.Hold()
	sc.out = s.conn.Seal(sc.out[:0], sc.page, s.now)
	return len(sc.out) > len(sc.page)
}

// In the steady state nothing is allocated. crypto/tls allocates 24 bytes for each
// record that it reads; and its buffers, when the race detector empties its pool.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for i, w := range ways {
		for _, size := range []int{200, 8 << 10, 256 << 10} {
			t.Run(fmt.Sprintf("%s/%d", w.name, size), func(t *testing.T) {
				const n = 200
				sc := newScript(t, w.client, w.before, n+50, size)
				for range 40 {
					sc.serve()
				}
				ok := true
				got := testing.AllocsPerRun(n, func() { ok = ok && sc.serve() })
				if got > float64(3*min(i, 1)) || !ok {
					t.Errorf("%v allocations, served %v", got, ok)
				}
				sc.server.end()
			})
		}
	}
}

// The memory of an idle connection is bounded. The runtime's own stacks, whose number varies,
// make the result up to 400 bytes larger.
func TestIdleMemory(t *testing.T) {
	for _, c := range []struct {
		way    int
		shrunk bool
		most   int // bytes
	}{{0, false, 3072}, {0, true, 1024}, {1, false, 9216}, {2, false, 6656}} {
		const n = 200
		conns := make([]*Conn, n)
		cfg, client := setup(t, nil)
		if w := ways[c.way]; w.client != nil {
			w.client(client)
		}
		before := weight()
		for i := range conns {
			s := newServer(cfg)
			s.before = ways[c.way].before
			ask(t, tls.Client(s, client), "one", "you said one")
			if conns[i] = s.conn; c.shrunk {
				s.conn.Shrink()
			}
		}
		each := (weight() - before) / n
		t.Logf("%s, shrunk %v: %d bytes", ways[c.way].name, c.shrunk, each)
		if each > c.most {
			t.Errorf("%s, shrunk %v: %d bytes, want at most %d", ways[c.way].name, c.shrunk, each, c.most)
		}
		for _, conn := range conns {
			conn.Close()
		}
	}
}

// The memory of a handshake is bounded after the ClientHello, and after half of one.
func TestHandshakeMemory(t *testing.T) {
	cfg, client := setup(t, nil)
	flight := hello(t, client)
	out := make([]byte, 0, 64<<10)
	for _, c := range []struct{ sent, most int }{{len(flight), 48 << 10}, {len(flight) - 1, 4 << 10}} {
		conns := make([]*Conn, 100)
		before := weight()
		for i := range conns {
			conns[i] = New(cfg, 0)
			conns[i].Receive(flight[:c.sent])
			conns[i].Next(&Turn{Budget: 1, Out: out})
		}
		each := (weight() - before) / len(conns)
		t.Logf("after %d of %d bytes: %d", c.sent, len(flight), each)
		if each > c.most {
			t.Errorf("after %d of %d bytes: %d, want at most %d", c.sent, len(flight), each, c.most)
		}
		for _, conn := range conns {
			conn.Close()
		}
	}
}

func weight() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// The cost of a request for the server: opening it, and sealing the response.
func BenchmarkRequest(b *testing.B) {
	for _, w := range ways {
		for _, size := range []int{8 << 10, 256 << 10} {
			b.Run(fmt.Sprintf("%s/%d", w.name, size), func(b *testing.B) {
				const batch = 4096
				sc := newScript(b, w.client, w.before, batch, size)
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					if len(sc.records) == 0 {
						b.StopTimer()
						sc.server.end()
						sc = newScript(b, w.client, w.before, batch, size)
						b.StartTimer()
					}
					if !sc.serve() {
						b.Fatal(sc.server.conn.Err())
					}
				}
				sc.server.end()
			})
		}
	}
}

// The cost of a request and its response including the client's, compared with the same over
// net.Pipe.
func BenchmarkRoundTrip(b *testing.B) {
	page := strings.Repeat("x", 8<<10)
	run := func(b *testing.B, c *tls.Conn) {
		b.ReportAllocs()
		got := make([]byte, len(page))
		for b.Loop() {
			io.WriteString(c, "one\n")
			if _, err := io.ReadFull(c, got); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("layer", func(b *testing.B) {
		s, c := established(b, nil, nil)
		reply := []byte(page)
		s.handle = func(s *server, _ string) { s.reply(reply) }
		run(b, c)
	})
	b.Run("net.Pipe", func(b *testing.B) {
		cfg, client := setup(b, nil)
		near, far := net.Pipe()
		c := tls.Client(near, client)
		defer c.Close()
		go echo(tls.Server(far, cfg.tls), []byte(page))
		run(b, c)
	})
}

func echo(c *tls.Conn, page []byte) {
	defer c.Close()
	for p := make([]byte, 4096); ; {
		if _, err := c.Read(p); err != nil {
			return
		}
		c.Write(page)
	}
}

// The cost of a full handshake with one request, including the client's.
func BenchmarkHandshake(b *testing.B) {
	b.Run("layer", func(b *testing.B) {
		cfg, client := setup(b, nil)
		b.ReportAllocs()
		for b.Loop() {
			s := newServer(cfg)
			s.turn.Plain = make([]byte, 0, 4096)
			ask(b, tls.Client(s, client), "one", "you said one")
			s.end()
		}
	})
	b.Run("net.Pipe", func(b *testing.B) {
		cfg, client := setup(b, nil)
		b.ReportAllocs()
		for b.Loop() {
			near, far := net.Pipe()
			c := tls.Client(near, client)
			go echo(tls.Server(far, cfg.tls), []byte("you said one"))
			ask(b, c, "one", "you said one")
			near.Close()
		}
	})
}

// The cost of restoring the cipher of a connection that has been shrunk.
func BenchmarkPrepare(b *testing.B) {
	h, _ := newHalf(tls.TLS_AES_128_GCM_SHA256, make([]byte, 32))
	b.ReportAllocs()
	for b.Loop() {
		h.keys = nil
		if h.prepare() != nil {
			b.Fatal("refused")
		}
	}
}
