package eventloop

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve/servetest"
)

// What a client sends after its last request is discarded, and does not end the rescue of the last response.
func TestRescueOfLingering(t *testing.T) {
	dir := t.TempDir()
	large := servetest.Noise(t, dir+"/large", 300_000)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	r := newRelay(t, relayConfig(uncachedFiles(t, dir)), listener, addr, servetest.Get("/large", "Connection: close"))
	defer r.close()
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
		t.Fatal(err)
	}
	r.write(1 << 16)
	r.input = strings.Repeat("x", 3*r.cfg.Recv)
	for !r.over() && r.l.peers[r.fd].step != conn.Linger {
		r.write(1 << 16)
		r.l.sendReady()
	}
	if r.over() {
		t.Fatal("the connection does not linger")
	}
	r.kill() // fails unless the connection is rescued
	if got := r.finish(); !bytes.HasSuffix(got, large) {
		t.Errorf("the client received other bytes, %d in all", len(got))
	}
}
