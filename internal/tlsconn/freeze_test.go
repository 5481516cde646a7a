package tlsconn

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

// move freezes a connection and continues with the thawed one.
func move(t testing.TB, c *Conn) *Conn {
	t.Helper()
	c.Hold()
	state := c.Freeze(nil)
	moved, err := Thaw(state, 0)
	if err != nil {
		t.Fatal(err)
	}
	if again := moved.Freeze(nil); !bytes.Equal(again, state) {
		t.Fatalf("thawed %x\nfrozen %x", again, state)
	}
	if moved.Info() != c.Info() {
		t.Fatalf("%+v, want %+v", moved.Info(), c.Info())
	}
	c.Leave()
	clear(state)
	return moved
}

// A connection is moved after each byte that it receives, also within records, and its client does
// not notice.
func TestMoveAfterEachByte(t *testing.T) {
	for _, k := range kinds[:3] {
		t.Run(k.name, func(t *testing.T) {
			cfg, client := setup(t, nil)
			k.client(client)
			s := newServer(cfg)
			s.chunk = func(int) int { return 1 }
			moves := 0
			s.moved = func(c *Conn) *Conn { moves++; return move(t, c) }
			talk(t, s, client)
			if moves < 60 {
				t.Errorf("moved %d times", moves)
			}
		})
	}
}

// A long download can be moved between any two calls of Seal, across key updates.
func TestMoveInDownload(t *testing.T) {
	cfg, client := setup(t, nil)
	s := newServer(cfg)
	page := strings.Repeat("0123456789abcdef", 1<<16)
	s.handle = func(s *server, _ string) {
		for p := page; len(p) > 0; {
			n := min(len(p), 50_000)
			s.reply([]byte(p[:n]))
			s.conn = move(t, s.conn)
			s.out = s.conn.updateKey(s.out)
			p = p[n:]
		}
	}
	c := tls.Client(s, client)
	for range 3 {
		ask(t, c, "page", page)
	}
	s.end()
}

// A connection reports whether it can be moved, and seals nothing after it was moved.
func TestMovable(t *testing.T) {
	cfg, client := setup(t, nil)
	c := New(cfg, 0)
	if c.Movable() {
		t.Error("a new connection is movable")
	}
	c.Receive(hello(t, client))
	c.Next(&Turn{Budget: 8})
	if c.Movable() {
		t.Error("a handshake is movable")
	}
	c.Close()
	s, _ := open(t, only12)
	if s.conn.Movable() {
		t.Error("a connection of TLS 1.2 is movable")
	}
	s.end()
	s, _ = open(t, nil)
	if !s.conn.Movable() {
		t.Error("a connection of TLS 1.3 is not movable")
	}
	s.conn.Leave()
	if s.conn.Movable() || s.conn.rd != (half{}) || s.conn.wr != (half{}) || s.conn.Close() != ReasonNone {
		t.Error("the moved connection still has data")
	}
	defer func() {
		if recover() == nil {
			t.Error("a record is sealed after the move")
		}
	}()
	s.reply([]byte("x"))
}

// No two records are sealed with the same key and nonce, however often a connection is moved.
func TestNoncesAreUnique(t *testing.T) {
	cfg, client := setup(t, nil)
	s := newServer(cfg)
	seen := map[string]bool{}
	note := func() {
		key := fmt.Sprintf("%x %d", s.conn.wr.secret, s.conn.wr.seq)
		if seen[key] {
			t.Fatal("a nonce is used twice")
		}
		seen[key] = true
	}
	s.handle = func(s *server, _ string) {
		for range 5 {
			note()
			s.reply([]byte("x"))
			s.conn = move(t, s.conn)
		}
		note()
		s.out = s.conn.updateKey(s.out)
	}
	c := tls.Client(s, client)
	for range 50 {
		ask(t, c, "one", "xxxxx")
	}
	if len(seen) != 50*6 {
		t.Errorf("%d records", len(seen))
	}
	s.end()
}

func TestMalformedStates(t *testing.T) {
	s, _ := open(t, nil)
	good := s.conn.Freeze(nil)
	change := func(at int, to byte) []byte {
		p := bytes.Clone(good)
		p[at] = to
		return p
	}
	for name, state := range map[string][]byte{
		"nothing": nil, "head only": good[:stateHead], "no second secret": good[:stateHead+63], "no name": good[:stateHead+64], "half a name": good[:stateHead+66],
		"no protocol": good[:len(good)-len("?http/1.1")], "half a protocol": good[:len(good)-1],
		"version": change(0, stateVersion+1), "flags": change(1, flagsAll+1), "useless": change(2, 255),
		"pace": change(3, paceSteps+1), "suite": change(5, 3), "counter": change(16, 1),
		"held": append(bytes.Clone(good), make([]byte, maxCiphertext)...),
	} {
		if _, err := Thaw(state, 0); err != errState {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.end()
}

// An idle connection shrinks, and still serves the next request.
func TestShrink(t *testing.T) {
	cfg, client := setup(t, nil)
	s := newServer(cfg)
	c := tls.Client(s, client)
	for range 3 {
		ask(t, c, "one", "you said one")
		s.conn.Shrink()
		s.now += time.Minute
	}
	s.end()
}
