package eventloop

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// Out of descriptors, whether none is free or only one, connections stay in the channel until descriptors are free again.
// One line is logged.
func TestTakeOverOutOfDescriptors(t *testing.T) {
	for free := range 2 {
		servetest.NoLeaks(t, func(t *testing.T) { takeOverWith(t, free) })
	}
}

func takeOverWith(t *testing.T, free int) {
	var lines atomic.Int64
	count := zerolog.HookFunc(func(_ *zerolog.Event, level zerolog.Level, text string) {
		if level >= zerolog.WarnLevel {
			lines.Add(1)
		}
	})
	l := newLoopsWith(t, nil, func(cfg *serve.Config) { cfg.Log = zerolog.New(io.Discard).Hook(count) })
	big := servetest.Noise(t, l.dir+"/big", 8<<20)
	var busy, idle []*loopClient
	for range 5 {
		c := l.client()
		if err := c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		c.send(servetest.Get("/big"))
		if _, err := c.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		busy = append(busy, c)
		c = l.client()
		c.ask()
		idle = append(idle, c)
	}
	old := l.last
	l.begin()
	from, to := newHandover(t)
	old.Order(drainAndHandOver, serve.HandOver{FD: from})
	old.Wait() // all connections are in the channel
	last := l.client()
	last.ask() // so that the next loop has started, which needs descriptors too
	restore := systest.FullTable(t, free)
	l.last.Order(serve.TakeOver{FD: to})
	systest.Await(t, "a line in the log", func() bool { return lines.Load() > 0 })
	time.Sleep(3 * serve.AcceptPause)
	restore()
	for i, c := range idle {
		c.ask()
		c.Close()
		if res, body := servetest.Receive(t, busy[i].r); res.StatusCode != 200 || !bytes.Equal(body, big) {
			t.Errorf("client %d: %s with %d bytes", busy[i].n, res.Status, len(body))
		}
		busy[i].Close()
	}
	last.Close()
	if n := lines.Load(); n != 1 {
		t.Errorf("%d log lines, want 1", n)
	}
	l.last.Stop()
}
