package eventloop

import (
	"io"
	"os"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// A connection that is handed over counts as its client's where it arrives, even above the
// limit, and no longer once it has ended.
func TestHandOverCounts(t *testing.T) {
	const most = 3
	l := newLineWith(t, nil, func(cfg *serve.Config) { cfg.MaxPerClient = most })
	var guests []*guest
	for range most {
		g := l.guest()
		g.ask()
		guests = append(guests, g)
	}
	old := l.succeed()
	old.Wait()
	for _, g := range guests {
		g.ask()
	}
	c := l.last.Dial()
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, servetest.Get("/small"))
	if n, err := c.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
		t.Errorf("one more than the limit after the handover: %d bytes, %v", n, err)
	}
	guests[0].Close()
	servetest.Await(t, "a connection in the place of one that ended", func() bool {
		c := l.last.Dial()
		defer c.Close()
		io.WriteString(c, servetest.Get("/small"))
		n, _ := c.Read(make([]byte, 1))
		return n > 0
	})
	l.last.Stop()
}

// Connections that are handed over are served even if they are more than the limit, which a
// reload may have lowered.
func TestHandOverAboveLimit(t *testing.T) {
	l := newLine(t)
	var guests []*guest
	for range 3 {
		g := l.guest()
		g.ask()
		guests = append(guests, g)
	}
	l.change = func(cfg *serve.Config) { cfg.MaxConnections = 1 }
	l.succeed().Wait()
	for _, g := range guests {
		g.ask()
	}
	l.last.Stop()
}
