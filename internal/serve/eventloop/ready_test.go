package eventloop

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// newDownload returns a connection whose client has requested a file larger than its socket's buffer, of which nothing
// has been sent.
func newDownload(t *testing.T) (r *relay, large []byte) {
	t.Helper()
	dir := t.TempDir()
	large = servetest.Noise(t, dir+"/large", 300_000)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	r = newRelay(t, relayConfig(uncachedFiles(t, dir)), listener, addr, servetest.Get("/large"))
	t.Cleanup(r.close)
	r.write(1 << 16)
	if p := r.l.peers[r.fd]; !p.turn.linked() {
		t.Fatal("the download does not wait for its turn")
	}
	return r, large
}

// writable reports whether epoll reports the socket writable.
func (r *relay) writable() bool {
	events := make([]unix.EpollEvent, 4)
	n, _ := rawEpollWait(r.l.epoll, events, 0)
	for _, e := range events[:n] {
		if int(e.Fd) == r.fd && e.Events&unix.EPOLLOUT != 0 {
			return true
		}
	}
	return false
}

// After a partial send nothing is sent until the socket is writable.
func TestFullSocket(t *testing.T) {
	r, large := newDownload(t)
	for range 3 { // the first time registers the peer with epoll
		p := r.l.peers[r.fd]
		systest.Await(t, "a full socket", func() bool { // a late acknowledgment may make room
			r.l.sendReady()
			if p.turn.linked() || p.writable {
				t.Fatal("the loop would send more to a full socket")
			}
			if !r.writable() {
				return true
			}
			left := p.http().Left()
			r.event(unix.EPOLLOUT)
			if r.l.sendReady(); p.http().Left() == left {
				t.Fatal("epoll reports a full socket writable")
			}
			return false
		})
		systest.Await(t, "a writable socket", func() bool {
			p := make([]byte, 1<<16)
			if n, _, err := unix.Recvfrom(r.client, p, unix.MSG_DONTWAIT); err == nil {
				r.got = append(r.got, p[:n]...)
			}
			return r.writable()
		})
		r.event(unix.EPOLLOUT)
	}
	if got := r.finish(); !bytes.HasSuffix(got, large) {
		t.Error("the client received other bytes")
	}
}

// After a send that a signal interrupted, epoll reports the socket writable at once.
func TestInterruptedSend(t *testing.T) {
	r, large := newDownload(t)
	for range 2 { // the first time registers the peer with epoll
		p := r.l.peers[r.fd]
		p.turn.remove()
		r.l.waitForRoom(p)
		if !r.writable() {
			t.Fatal("epoll does not report the socket writable")
		}
		r.event(unix.EPOLLOUT)
	}
	if got := r.finish(); !bytes.HasSuffix(got, large) {
		t.Error("the client received other bytes")
	}
}

// A turn sends a bounded number of bytes, however many downloads are ready.
func TestTurnIsBounded(t *testing.T) {
	dir := t.TempDir()
	const n, size = 6, 3 << 20
	large := servetest.Noise(t, dir+"/large", size)
	var most, last atomic.Uint64
	s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
		cfg.Row = new(scoreboard.Row)
		cfg.Flush = func() time.Duration { // at the end of each turn
			sent := cfg.Row.Bytes.Load()
			most.Store(max(most.Load(), sent-last.Swap(sent)))
			return 0
		}
	})
	defer s.Stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	for range n {
		c := s.Dial()
		defer c.Close()
		clients.Go(func() {
			_, err := io.WriteString(c, servetest.Get("/large", "Connection: close"))
			all, readErr := io.ReadAll(c)
			if err = errors.Join(err, readErr); err != nil || !bytes.HasSuffix(all, large) {
				t.Errorf("received %d bytes, want the %d of the file at their end, error %v", len(all), len(large), err)
			}
		})
	}
	clients.Wait()
	if bound := uint64(turnMax + quantum + n*serve.OutSize); most.Load() > bound {
		t.Errorf("%d bytes were sent in a turn, want at most %d", most.Load(), bound)
	}
}

// A peer may use the rest of a turn, unless it is new and others are waiting.
func TestPortion(t *testing.T) {
	for _, tt := range []struct {
		watched, busy bool
		budget, want  int64
	}{
		{false, false, turnMax, turnMax},
		{false, true, turnMax, quantum},
		{true, true, turnMax, turnMax},
		{true, true, turnMax / 2, turnMax / 2},
		{true, true, 1, quantum},
	} {
		var l Loop
		l.ready.init()
		var other peer
		if other.turn.peer = &other; tt.busy {
			l.ready.push(&other.turn)
		}
		if got := l.portion(&peer{watched: tt.watched}, tt.budget); got != tt.want {
			t.Errorf("%+v: portion %d", tt, got)
		}
	}
}
