package eventloop

import (
	"io"
	"os"
	"testing"
	"time"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// A connection that was handed over counts as its client's in the next loop, even above the limit, until it ends.
func TestHandOverCounts(t *testing.T) {
	const most = 3
	l := newLoopsWith(t, nil, func(cfg *serve.Config) { cfg.MaxPerClient = most })
	var clients []*loopClient
	for range most {
		c := l.client()
		c.ask()
		clients = append(clients, c)
	}
	old := l.replace()
	old.Wait()
	for _, c := range clients {
		c.ask()
	}
	c := l.last.Dial()
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, servetest.Get("/small"))
	if n, err := c.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
		t.Errorf("a connection above the limit after the handover: %d bytes, error %v; want a close", n, err)
	}
	clients[0].Close()
	systest.Await(t, "a new connection after one ended", func() bool {
		c := l.last.Dial()
		defer c.Close()
		io.WriteString(c, servetest.Get("/small"))
		n, _ := c.Read(make([]byte, 1))
		return n > 0
	})
	l.last.Stop()
}

// Connections that were handed over are served even if there are more than --max-connections, which a reload may have
// lowered.
func TestHandOverAboveLimit(t *testing.T) {
	l := newLoops(t)
	var clients []*loopClient
	for range 3 {
		c := l.client()
		c.ask()
		clients = append(clients, c)
	}
	l.change = func(cfg *serve.Config) { cfg.MaxConnections = 1 }
	l.replace().Wait()
	for _, c := range clients {
		c.ask()
	}
	l.last.Stop()
}

// A loop with more connections than its limit accepts none in place of those that end, until it is below the limit.
func TestLoweredLimitIsReached(t *testing.T) {
	const most = 2
	l := newLoops(t)
	servetest.Noise(t, l.dir+"/big", 64<<20) // more than the sockets' buffers hold, so the downloads stall
	download := func() *loopClient {
		c := l.client()
		c.send(servetest.Get("/big"))
		if _, err := c.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		return c
	}
	var old []*loopClient
	for range most + 2 {
		old = append(old, download())
	}
	row := new(scoreboard.Row)
	l.change = func(cfg *serve.Config) { cfg.MaxConnections, cfg.Row = most, row }
	l.replace().Wait()
	systest.Await(t, "the old downloads in the new loop", func() bool { return row.TakenOver.Load() == most+2 })
	defer download().Close() // accepted before the loop knows that it has too many connections
	waiting := l.client()
	waiting.send(servetest.Get("/small"))
	for i, c := range old {
		c.Close()
		systest.Await(t, "the end of a download", func() bool { return row.Truncated.Load() == uint64(i+1) })
		if left := len(old) - i; left > most { // including the one that was accepted
			time.Sleep(3 * serve.AcceptPause)
			if n := row.Accepted.Load(); n != 1 {
				t.Fatalf("%d connections accepted with %d open, want 1", n, left)
			}
		}
	}
	waiting.served()
}
