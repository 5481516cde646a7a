package serve_test

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"phalanx/internal/h2"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// A connection whose client opens no window for a minute gets GOAWAY, and is counted.
func TestHTTP2StalledIsCounted(t *testing.T) {
	dir := withFile(t, 100_000)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		clock := held{times: 100} // a minute takes 600 ms
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			speaksHTTP2(cfg)
			cfg.Row, cfg.Clock = &row, clock.read
		})
		c := dialHTTP2(t, s)
		c.must(c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
		c.ask(1, "/f")
		for c.next() != http2.FrameHeaders {
		}
		clock.release()
		for c.next() != http2.FrameGoAway {
		}
		c.conn.Close()
		servetest.Await(t, "a count of the stalled connection", func() bool { return row.Misused[h2.ReasonStalled].Load() == 1 })
		s.Stop()
	})
}

// A client that receives what is in the kernel's queue all the time is not stalled, although it opens its windows
// only after more than a minute.
func TestHTTP2ReceivingClientIsNotStalled(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, filepath.Join(dir, "huge"), 1<<34)
	const window = 3 << 19 // it fits into the send buffer of a local socket
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		clock := held{times: 1}
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			speaksHTTP2(cfg)
			cfg.Clock = clock.read
		})
		c := greetHTTP2(t, dialTight(t, s.Addr))
		c.must(c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}))
		c.ask(1, "/huge")
		receive := func() http2.Frame {
			t.Helper()
			f, _ := c.content()
			switch f.(type) {
			case *http2.GoAwayFrame, *http2.RSTStreamFrame:
				t.Fatalf("unexpected frame: %v", f)
			}
			return f
		}
		pace := time.NewTicker(50 * time.Millisecond) // the server looks at the queue once a second, by its machine's clock
		defer pace.Stop()
		for range 75 {
			<-pace.C
			receive()
			clock.ahead.Add(int64(time.Second))
		}
		c.must(c.WritePing(false, [8]byte{}))
		for receive().Header().Type != http2.FramePing {
		}
		c.must(c.WriteWindowUpdate(1, window))
		for receive().Header().Type != http2.FrameData {
		}
		clock.release()
		c.conn.Close()
		s.Stop()
	})
}
