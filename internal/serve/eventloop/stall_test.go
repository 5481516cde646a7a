package eventloop

import (
	"bufio"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// stall blocks a loop as if its process were stopped, while its clock runs.
type stall struct {
	wanted  atomic.Bool
	begun   chan struct{}
	over    chan struct{}
	skipped atomic.Int64 // nanoseconds
}

func newStall(cfg *serve.Config) *stall {
	s := &stall{begun: make(chan struct{}), over: make(chan struct{})}
	cfg.Flush = func() time.Duration {
		if s.wanted.CompareAndSwap(true, false) {
			s.begun <- struct{}{}
			<-s.over
		}
		return 0
	}
	began := time.Now()
	cfg.Clock = func() (time.Time, time.Duration) {
		skipped := time.Duration(s.skipped.Load())
		return time.Now().Add(skipped), time.Since(began) + skipped + time.Hour
	}
	return s
}

// A worker that was stopped for longer than all timeouts reads what its clients have sent meanwhile before it closes
// connections, however many there are.
func TestRequestsDuringStall(t *testing.T) {
	var s *stall
	l := newLoopsWith(t, nil, func(cfg *serve.Config) {
		cfg.Conn.KeepAlive = time.Hour // nothing times out while a slow machine opens the connections
		s = newStall(cfg)
	})
	const n = eventBatch + 200
	half := servetest.Get("/small")[:10]
	var clients []*loopClient
	for range n {
		c := l.client()
		c.ask()
		clients = append(clients, c)
	}
	slow := l.client()
	slow.ask()
	last := l.client()
	last.ask()
	waker := l.client()
	for i := 0; i < n; i += 2 {
		clients[i].send(half)
	}
	slow.send(half)
	s.wanted.Store(true)
	waker.send(servetest.Get("/small")) // the loop stalls in this turn or before it
	<-s.begun
	for i, c := range clients {
		rest := servetest.Get("/small")
		if i%2 == 0 {
			rest = rest[len(half):]
		}
		c.send(rest)
	}
	slow.send(servetest.Get("/small")[len(half) : len(half)+1])
	for _, c := range append(clients, slow) {
		awaitAcknowledged(t, c)
	}
	s.skipped.Store(int64(2 * time.Hour))
	close(s.over)
	for _, c := range append(clients, waker) {
		c.served()
		c.Close()
	}
	// A head that is still incomplete has timed out.
	if res, _ := servetest.Receive(t, slow.r); res.StatusCode != 408 {
		t.Errorf("an incomplete head: %s, want 408", res.Status)
	}
	slow.Close()
	if _, err := bufio.NewReader(last).ReadByte(); err == nil {
		t.Error("an idle connection was not closed")
	}
	last.Close()
	l.last.Stop()
}

// awaitAcknowledged waits until the server's kernel has received everything that was sent.
func awaitAcknowledged(t *testing.T, c *loopClient) {
	t.Helper()
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	systest.Await(t, "the acknowledgement of a request", func() bool {
		queued := 0
		raw.Control(func(fd uintptr) { queued, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		return queued == 0 && err == nil
	})
}
