package tlsconn

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// A client may send anything, in any pieces: before, during and after a handshake.
func FuzzClient(f *testing.F) {
	cfg, client := setup(f, nil)
	flight := hello(f, client)
	f.Add(flight, uint8(0), uint8(7))
	f.Add(append(bytes.Clone(flight), flight...), uint8(0), uint8(0))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(0), uint8(1))
	f.Add([]byte("\x17\x03\x03\x00\x13\xc9\x87\x27\x60\x65\x56\x66\xb7\x4d\x7f\xf1\x15\x3e\xfd\x6d\xb6\xd0\xb0\xe3"), uint8(1), uint8(3))
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00"), uint8(2), uint8(0))
	f.Fuzz(func(t *testing.T, sent []byte, when, size uint8) {
		s := newServer(cfg)
		if when%3 > 0 {
			var change func(*tls.Config)
			if when%3 == 2 {
				change = only12
			}
			s, _ = open(t, change)
		}
		s.chunk = func(int) int { return int(size) }
		s.in = append(s.in, sent...)
		s.run()
		if got := s.conn.Rest(); got > maxCiphertext {
			t.Errorf("%d bytes are held", got)
		}
		if reason := s.end(); reason >= NumReasons {
			t.Errorf("reason %d", reason)
		}
		if s.conn.library != nil {
			t.Error("a handshake of crypto/tls is left")
		}
	})
}

// A valid record may contain anything.
func FuzzContent(f *testing.F) {
	f.Add([]byte{24, 0, 0, 1, 1}, uint8(typeHandshake), uint8(1))
	f.Add([]byte{1, 0}, uint8(typeAlert), uint8(2))
	f.Add([]byte("one\n"), uint8(typeData), uint8(3))
	f.Fuzz(func(t *testing.T, content []byte, typ, times uint8) {
		s, _ := open(t, nil)
		mine := s.conn.rd
		for range times {
			s.in = mine.seal(s.in, content[:min(len(content), 1<<16-1-tagSize-1)], typ)
		}
		s.run()
		s.end()
	})
}

// A state is accepted as a whole or not at all, and an accepted one is encoded to the same bytes.
func FuzzThaw(f *testing.F) {
	s, _ := open(f, nil)
	f.Add(s.conn.Freeze(nil))
	f.Add(append(s.conn.Freeze(nil), "\x17\x03\x03\x00"...))
	f.Fuzz(func(t *testing.T, state []byte) {
		c, err := Thaw(state, 0)
		if err != nil {
			return
		}
		if again := c.Freeze(nil); !bytes.Equal(again, state) {
			t.Fatalf("thawed %x\nfrozen %x", again, state)
		}
		c.Next(&Turn{})
		if !c.silent {
			c.Seal(nil, []byte("x"), 0)
		}
		c.Close()
	})
}

// Whatever is done to a connection between requests and between the pieces of a response, its
// client gets what was sealed.
func FuzzSequence(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 0, 1, 250, 2, 1, 0}, uint8(3))
	f.Add([]byte{1, 1, 2, 2, 0, 4, 4, 9, 3, 0}, uint8(200))
	f.Fuzz(func(t *testing.T, acts []byte, size uint8) {
		s, c := open(t, nil)
		s.chunk = func(int) int { return int(size) }
		s.handle = func(s *server, request string) { s.reply([]byte(request)) }
		seen := map[half]bool{}
		for i, act := range acts[:min(len(acts), 64)] {
			switch act % 6 {
			case 0:
				s.conn = move(t, s.conn)
			case 1:
				s.out = s.conn.updateKey(s.out)
			case 2:
				s.conn.Shrink()
			case 3:
				s.now += time.Second / 2 * time.Duration(act)
			default:
				at := s.conn.wr
				at.keys = nil
				if seen[at] {
					t.Fatal("a nonce is used twice")
				}
				seen[at] = true
				text := strings.Repeat(string(rune('a'+i%26)), 1+int(act)*int(size))
				ask(t, c, text, text)
			}
		}
		s.end()
	})
}
