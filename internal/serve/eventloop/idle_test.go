package eventloop

import (
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve/servetest"
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
