package eventloop

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// hello is what a client sends first.
func hello(t *testing.T, client *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		tls.Client(theirs, client).Handshake() // ends with the pipe
	}()
	p := make([]byte, 16<<10)
	ours.SetDeadline(time.Now().Add(10 * time.Second))
	n, err := ours.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return p[:n]
}

// In one turn a loop takes a few records of handshakes, in the order in which they came,
// however many clients wait; and one if each takes long.
func TestHandshakesAreBounded(t *testing.T) {
	t.Run("short", func(t *testing.T) { testHandshakesAreBounded(t, 0, shakeBudget) })
	t.Run("long", func(t *testing.T) { testHandshakesAreBounded(t, shakeTime, 1) })
}

// testHandshakesAreBounded has a turn take some handshakes, with a clock that a look at it
// puts forward.
func testHandshakesAreBounded(t *testing.T, step time.Duration, inTurn int) {
	began, mono := time.Now(), time.Hour
	clock := func() (time.Time, time.Duration) {
		mono += step
		return began, mono
	}
	l, err := New(serve.Config{Recv: 65536, Log: zerolog.Nop(), Clock: clock, Conn: conn.Config{KeepAlive: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l.epoll)
	defer unix.Close(l.wake)
	credentials, client := servetest.Credentials(t, nil)
	l.credentials(credentials)
	p := hello(t, client)
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
			t.Error("the loop would wait")
		}
		l.shake()
		for i, fd := range ends {
			if want := i < (turn+1)*inTurn; answered(fd) != want {
				t.Errorf("turn %d: client %d has its answer: %v", turn, i, !want)
			}
		}
	}
	if l.busy() {
		t.Error("there are more")
	}
	for _, p := range peers {
		l.close(p)
	}
}

// A download is sealed and sent without garbage, also to a client that takes it slowly,
// for whom records have to wait.
func TestSecureDownloadMakesNoGarbage(t *testing.T) {
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
	// From here on the records are taken as they are: opening them makes garbage.
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
		t.Errorf("%d bytes of garbage for 32 MiB", bytes)
	}
	raw.SetLinger(0)
	raw.Close()
	s.Stop()
}

// The memory of the ciphers of connections that have become idle is collected, though
// nothing else is allocated.
func TestShrunkMemoryIsCollected(t *testing.T) {
	credentials, client := servetest.Credentials(t, nil)
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", 100)
	s := servetest.StartSecure(t, dir, changed(func(l *Loop) { l.secured().shrunk = collectAfter - 1 }), credentials, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := servetest.Handshake(t, s.Dial(), client)
	_, _ = servetest.Begin(t, c, "/f", 100)
	began := time.Now()
	for after = before; after.NumForcedGC == before.NumForcedGC; {
		if time.Since(began) > time.Minute {
			t.Fatal("no collection within a minute")
		}
		time.Sleep(10 * time.Millisecond)
		runtime.ReadMemStats(&after)
	}
	if idle := time.Since(began); idle < shrinkAfter {
		t.Errorf("collected after %v: it was not idle for so long", idle)
	}
	c.Close()
	s.Stop()
}
