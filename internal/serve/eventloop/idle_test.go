package eventloop

import (
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve/servetest"
	"phalanx/internal/tlsconn"
)

// A connection with received bytes that are not used yet is not closed to make room.
func TestUnusedBytesAreNotIdle(t *testing.T) {
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	r := newRelay(t, relayConfig(uncachedFiles(t, t.TempDir())), listener, addr, servetest.Get("/none"))
	defer r.close()
	r.write(1 << 16)
	p := r.l.peers[r.fd]
	if r.l.longestIdle(nil) != p {
		t.Fatal("the connection is not idle")
	}
	p.more = true
	if r.l.longestIdle(nil) != nil {
		t.Error("a connection with received bytes is idle")
	}
	p.more = false
}

// However many handshakes are under way, a new connection costs a bounded search for a silent one.
func TestSearchOfHandshakesIsBounded(t *testing.T) {
	l, _ := secureLoop(t, nil)
	add := func(received string) *peer {
		p := &peer{fd: -1, tls: tlsconn.New(l.tls.cfg, 0)}
		p.tls.Receive([]byte(received))
		p.timer.peer = p
		l.timers[timerHandshake].push(&p.timer)
		return p
	}
	for range mostSearched - 1 {
		add("\x16\x03\x01")
	}
	silent := add("")
	if got := l.longestIdle(nil); got != silent {
		t.Errorf("found %p among %d handshakes, want the silent one", got, mostSearched)
	}
	silent.timer.remove()
	add("\x16\x03\x01")
	add("")
	if l.longestIdle(nil) != nil {
		t.Errorf("the search goes on after %d handshakes", mostSearched)
	}
}
