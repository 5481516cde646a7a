package eventloop

import (
	"crypto/tls"
	"runtime"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/tlsconn"
)

// A turn of the loop processes a bounded number of handshake records, in the order of their arrival, however many clients
// wait: only one if each takes long.
func TestHandshakesAreBounded(t *testing.T) {
	t.Run("short", func(t *testing.T) { testHandshakesAreBounded(t, 0, handshakeBudget) })
	t.Run("long", func(t *testing.T) { testHandshakesAreBounded(t, handshakeTime, 1) })
}

// secureLoop returns a loop with a certificate, and the configuration of its clients.
func secureLoop(t *testing.T, clock func() (time.Time, time.Duration)) (*Loop, *tls.Config) {
	t.Helper()
	l, err := New(serve.Config{Recv: 65536, Log: zerolog.Nop(), Clock: clock, Conn: conn.Config{KeepAlive: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(l.epoll); unix.Close(l.wake) })
	credentials, client := servetest.Credentials(t, nil)
	l.credentials(credentials)
	return l, client
}

// testHandshakesAreBounded expects a number of handshakes in each turn. Reading the clock advances it by step.
func testHandshakesAreBounded(t *testing.T, step time.Duration, inTurn int) {
	began, mono := time.Now(), time.Hour
	clock := func() (time.Time, time.Duration) {
		mono += step
		return began, mono
	}
	l, client := secureLoop(t, clock)
	p := servetest.Hello(t, client)
	const clients = 20
	peers := make([]*peer, clients)
	answered := func(fd int) bool {
		n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
		return err == nil && n > 0
	}
	ends := make([]int, clients)
	for i := range peers {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = fds[1]
		defer unix.Close(ends[i])
		if _, err := unix.Write(ends[i], p); err != nil {
			t.Fatal(err)
		}
		peers[i] = l.newPeer(fds[0], nil, serve.Listener{Secure: true})
		l.serve(peers[i])
	}
	for turn := range clients / inTurn {
		if l.timeout() != 0 {
			t.Error("the loop would wait although handshakes are pending")
		}
		l.continueHandshakes()
		for i, fd := range ends {
			if want := i < (turn+1)*inTurn; answered(fd) != want {
				t.Errorf("turn %d: client %d has a response: %v", turn, i, !want)
			}
		}
	}
	if l.busy() {
		t.Error("handshakes are still pending")
	}
	for _, p := range peers {
		l.close(p)
	}
}

// A handshake whose next record was received, and waits for its turn, does not time out.
func TestReceivedHandshakeInTime(t *testing.T) {
	mono := time.Hour
	clock := func() (time.Time, time.Duration) { return time.Unix(0, 0).Add(mono), mono }
	l, client := secureLoop(t, clock)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	changeCipherSpec := []byte{20, 3, 3, 0, 1, 1} // RFC 8446 D.4
	if _, err := unix.Write(fds[1], append(servetest.Hello(t, client), changeCipherSpec...)); err != nil {
		t.Fatal(err)
	}
	p := l.newPeer(fds[0], nil, serve.Listener{Secure: true})
	l.serve(p)
	p.turn.remove()
	l.tls.turn.Budget = 1 // other handshakes have used the rest
	l.continueHandshake(p)
	l.serve(p)
	if !p.more || !p.turn.linked() || l.unread(p) {
		t.Fatalf("no received record waits for its turn (%v, %v), or bytes are unread", p.more, p.turn.linked())
	}
	mono += tlsconn.HandshakeTimeout + time.Second
	l.now = l.clock.Now()
	l.expire()
	if p.gone || !p.handshaking() {
		t.Fatal("the handshake has timed out before its turn")
	}
	l.continueHandshakes()
	if p.more {
		t.Error("the record is still not used")
	}
	l.expire()
	if !p.gone {
		t.Error("a handshake that has had its turn does not time out")
	}
}

// A download over TLS is sealed and sent without garbage, even to a slow client, for whom records have to wait.
func TestTLSDownloadMakesNoGarbage(t *testing.T) {
	dir := t.TempDir()
	const size = 64 << 20
	servetest.Sparse(t, dir+"/f", size)
	credentials, client := servetest.Credentials(t, nil)
	s := servetest.StartSecure(t, dir, changed(func(l *Loop) {
		l.disk.resident = func(int, int64, int64) bool { return true }
	}), credentials, nil)
	raw := s.Dial()
	c := servetest.Handshake(t, raw, client)
	_, _ = servetest.Begin(t, c, "/f", 1<<20)
	// From here on the records are read but not opened, because that would make garbage.
	buf := make([]byte, 10_000)
	var before, after runtime.MemStats
	took := 0
	take := func(until int) {
		for took < until {
			n, err := raw.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			took += n
		}
	}
	take(8 << 20)
	runtime.ReadMemStats(&before)
	take(40 << 20)
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 1<<20 {
		t.Errorf("%d bytes of garbage for 32 MiB, want at most 1 MiB", bytes)
	}
	raw.SetLinger(0)
	raw.Close()
	s.Stop()
}

// The memory of the ciphers of connections that have become idle is collected, even if nothing else allocates.
func TestShrunkMemoryIsCollected(t *testing.T) {
	credentials, client := servetest.Credentials(t, nil)
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", 100)
	s := servetest.StartSecure(t, dir, changed(func(l *Loop) { l.secured().shrunk = collectAfter - 1 }), credentials, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	c := servetest.Handshake(t, s.Dial(), client)
	_, _ = servetest.Begin(t, c, "/f", 100)
	for after = before; after.NumForcedGC == before.NumForcedGC; {
		if time.Since(began) > time.Minute {
			t.Fatal("no collection within a minute")
		}
		time.Sleep(10 * time.Millisecond)
		runtime.ReadMemStats(&after)
	}
	if idle := time.Since(began); idle < shrinkAfter {
		t.Errorf("collected after %v, before the connection was idle for %v", idle, shrinkAfter)
	}
	c.Close()
	s.Stop()
}
