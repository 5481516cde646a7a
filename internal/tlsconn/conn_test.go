package tlsconn

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// kind is a kind of client.
type kind struct {
	name   string
	client func(*tls.Config)
	own    bool // the record layer continues with it
	check  func(tls.ConnectionState) bool
}

var kinds = []kind{
	{"1.3", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, true,
		func(s tls.ConnectionState) bool { return s.Version == tls.VersionTLS13 && s.CurveID == tls.X25519 }},
	{"1.3 with ML-KEM", func(c *tls.Config) {}, true,
		func(s tls.ConnectionState) bool { return s.CurveID == tls.X25519MLKEM768 }},
	{"1.3 with HelloRetryRequest", func(c *tls.Config) {
		c.CurvePreferences = []tls.CurveID{tls.SecP256r1MLKEM768, tls.CurveP384}
	}, true, func(s tls.ConnectionState) bool { return s.HelloRetryRequest && s.CurveID == tls.CurveP384 }},
	{"1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, false,
		func(s tls.ConnectionState) bool { return s.Version == tls.VersionTLS12 }},
	{"1.2 with ChaCha20", func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	}, false, func(s tls.ConnectionState) bool {
		return s.CipherSuite == tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	}},
}

func TestClients(t *testing.T) {
	for _, k := range kinds {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/slow=%v", k.name, slow), func(t *testing.T) {
				cfg, client := setup(t, nil)
				k.client(client)
				s := newServer(cfg)
				if s.slow = slow; slow {
					s.chunk = func(int) int { return 1 }
				}
				own := false
				s.moved = func(c *Conn) *Conn { own = true; return c }
				state := talk(t, s, client)
				if !k.check(state) {
					t.Errorf("%+v", state)
				}
				if own != k.own {
					t.Errorf("own record layer: %v", own)
				}
				info := s.conn.Info()
				if info.Version != state.Version || info.Suite != state.CipherSuite || info.Curve != state.CurveID || info.Protocol != "http/1.1" || info.Resumed {
					t.Errorf("%+v", info)
				}
			})
		}
	}
}

// The bytes of a client may be split anywhere, and may arrive together with what follows. Those of
// plain kinds are split at every byte, longer ones at about every seventh.
func TestEverySplit(t *testing.T) {
	pair, authority := clientCertificate(t)
	known := func(c *tls.Config) { c.Certificates = []tls.Certificate{pair} }
	resuming := func(c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) }
	for _, c := range []struct {
		kind
		more   func(*tls.Config)
		server func(*Options)
		step   int
	}{
		{kinds[0], nil, nil, 1}, {kinds[1], nil, nil, 29}, {kinds[2], nil, nil, 29}, {kinds[3], nil, nil, 1},
		{kinds[0], known, func(o *Options) { o.ClientCA = authority }, 7}, {kinds[0], resuming, nil, 7}, {kinds[3], resuming, nil, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, client := setup(t, c.server)
			c.client(client)
			if c.more != nil {
				c.more(client)
			}
			s := newServer(cfg)
			talk(t, s, client)
			total := s.off
			for at := 1; at < total; at += c.step {
				s := newServer(cfg)
				s.chunk = func(off int) int {
					if off < at {
						return at - off
					}
					return total
				}
				talk(t, s, client)
			}
		})
	}
}

// Goroutines can share a configuration. Each handshake has its own secrets.
func TestSharedConfig(t *testing.T) {
	cfg, client := setup(t, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20 {
				mine := client.Clone()
				kinds[i%len(kinds)].client(mine)
				s := newServer(cfg)
				c := tls.Client(s, mine)
				if err := c.Handshake(); err != nil {
					t.Error(err)
					return
				}
				io.WriteString(c, "one\n")
				got := make([]byte, 12)
				if _, err := io.ReadFull(c, got); err != nil || string(got) != "you said one" || (s.conn.library == nil) != kinds[i%len(kinds)].own {
					t.Errorf("%q, %v", got, err)
				}
				s.end()
			}
		})
	}
	all.Wait()
}

// The client's last handshake record and its first requests arrive together, and the loop may
// receive them in any pieces.
func TestRequestsBehindTheHandshake(t *testing.T) {
	for _, k := range kinds[:3] {
		for _, size := range []int{1, 100, 1 << 20} {
			cfg, client := setup(t, nil)
			k.client(client)
			s := newServer(cfg)
			s.chunk = func(int) int { return size }
			c := tls.Client(s, client)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			ask(t, c, "one\ntwo\n"+strings.Repeat("x", 100<<10), "you said oneyou said twoyou said "+strings.Repeat("x", 100<<10))
			s.end()
		}
	}
}

// The records of large responses are small at first and grow. They are small again after a pause.
func TestRecordsGrow(t *testing.T) {
	cfg, client := setup(t, nil)
	s := newServer(cfg)
	page := bytes.Repeat([]byte("0123456789abcdef"), 10<<10)
	var sizes []int
	s.handle = func(s *server, _ string) {
		at := len(s.out)
		s.reply(page)
		sizes = nil
		for p := s.out[at:]; len(p) > 0; {
			n := headerSize + int(p[3])<<8 + int(p[4])
			sizes = append(sizes, n-overhead)
			p = p[n:]
		}
	}
	c := tls.Client(s, client)
	ask(t, c, "page", string(page))
	if want := []int{1360, 2720, 5440, 10880, 16384}; !slices.Equal(sizes[:5], want) {
		t.Errorf("records of %v", sizes)
	}
	s.now += paceRest
	ask(t, c, "page", string(page))
	if sizes[0] != 16384 {
		t.Errorf("after a moment: records of %v", sizes)
	}
	s.now += paceRest + 1
	ask(t, c, "page", string(page))
	if sizes[0] != firstRecord {
		t.Errorf("after a pause: records of %v", sizes)
	}
	s.end()
}

func TestMaxSealed(t *testing.T) {
	for _, k := range kinds {
		for _, n := range []int{0, 1, 1359, 1360, 1361, 8000, 100_000, 1 << 20} {
			cfg, client := setup(t, nil)
			k.client(client)
			s := newServer(cfg)
			c := tls.Client(s, client)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			ask(t, c, "one", "you said one")
			if got := len(s.conn.Seal(nil, make([]byte, n), s.now)); got > MaxSealed(n) {
				t.Errorf("%s: %d bytes become %d, want at most %d", k.name, n, got, MaxSealed(n))
			}
			s.end()
		}
	}
}

// A budget of one record per turn is enough, in whatever pieces the bytes arrive, and is never
// exceeded.
func TestBudget(t *testing.T) {
	cfg, client := setup(t, nil)
	for _, size := range []int{1, 7, 300, 2000, 1 << 20} {
		s := newServer(cfg)
		s.budget = 1
		s.chunk = func(int) int { return size }
		talk(t, s, client)
		if size == 1<<20 && !slices.Contains(s.steps, Yield) {
			t.Errorf("steps %v", s.steps)
		}
	}
	s := newServer(cfg)
	s.budget = 0
	tls.Client(s, client)
	s.in = hello(t, client)
	s.conn.Receive(s.in)
	for range 3 {
		if step := s.conn.Next(&Turn{}); step != Yield {
			t.Fatalf("step %d without a budget", step)
		}
		s.conn.Hold()
	}
	s.end()
}

// hello returns the first flight of a client.
func hello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	w := &wire{}
	tls.Client(w, cfg).Handshake()
	if len(w.out) == 0 {
		t.Fatal("the client sends no ClientHello")
	}
	return w.out
}

// coroutines returns the number of handshakes under way in this process.
func coroutines() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "tlsconn.newLibrary.func1(")
}

// A slow ClientHello needs no coroutine, and a handshake that has ended has none.
func TestNoCoroutineIsLeft(t *testing.T) {
	cfg, client := setup(t, nil)
	flight := hello(t, client)
	half := New(cfg, 0)
	half.Receive(flight[:len(flight)-1])
	half.Next(&Turn{Budget: 8})
	if half.library != nil {
		t.Error("crypto/tls runs for half a ClientHello")
	}
	var open []*Conn
	for range 10 {
		c := New(cfg, 0)
		c.Receive(flight)
		c.Next(&Turn{Budget: 8})
		open = append(open, c)
	}
	if got := coroutines(); got != 10 {
		t.Errorf("%d coroutines for 10 handshakes", got)
	}
	for i, c := range open {
		reason := ReasonTruncated
		if i%2 == 0 {
			if reason = ReasonTimeout; !c.Expire(HandshakeTimeout) {
				t.Error("the handshake has not expired")
			}
		}
		if got := c.Close(); got != reason {
			t.Errorf("closed with %v, want %v", got, reason)
		}
	}
	for _, k := range kinds {
		k.client(client)
		talk(t, newServer(cfg), client)
	}
	if got := coroutines(); got != 0 {
		t.Errorf("%d coroutines are left", got)
	}
}

func TestDeadline(t *testing.T) {
	cfg, client := setup(t, nil)
	const born = 5 * time.Second
	c := New(cfg, born)
	if c.Deadline() != born+HandshakeTimeout || c.Expire(c.Deadline()-1) {
		t.Errorf("deadline %v", c.Deadline())
	}
	if !c.Expire(c.Deadline()) || c.Reason() != ReasonTimeout || c.Next(&Turn{}) != Failed || c.Deadline() != 0 {
		t.Errorf("reason %v", c.Reason())
	}
	s := newServer(cfg)
	if err := tls.Client(s, client).Handshake(); err != nil {
		t.Fatal(err)
	}
	s.run()
	if s.conn.Deadline() != 0 || s.conn.Expire(time.Hour) {
		t.Error("an open connection expires")
	}
	s.end()
}

func TestCloseNotify(t *testing.T) {
	for _, k := range kinds {
		cfg, client := setup(t, nil)
		k.client(client)
		s := newServer(cfg)
		s.handle = func(s *server, request string) {
			s.reply([]byte("bye"))
			s.out = s.conn.CloseNotify(s.conn.CloseNotify(s.out))
		}
		c := tls.Client(s, client)
		ask(t, c, "one", "bye")
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %v", k.name, err)
		}
		if reason := s.end(); reason != ReasonNone {
			t.Errorf("%s: %v", k.name, reason)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a record is sealed after the end", k.name)
				}
			}()
			s.reply([]byte("x"))
		}()
	}
}
