package serve_test

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"phalanx/internal/h2"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
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
		systest.Await(t, "a count of the stalled connection", func() bool { return row.Misused[h2.ReasonStalled].Load() == 1 })
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
		c.ask(3, "/")
		for receive().Header().StreamID != 3 {
		}
		c.must(c.WriteWindowUpdate(1, window))
		for receive().Header().Type != http2.FrameData {
		}
		clock.release()
		c.conn.Close()
		s.Stop()
	})
}

// A request that waits because too many files are open is continued when another connection closes its files,
// although its own client sends nothing.
func TestHTTP2RequestWaitsForAnyFile(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, filepath.Join(dir, "large"), large)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		var before unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		defer unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 200, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		s := servetest.Start(t, dir, run, speaksHTTP2)
		waiting, other := dialHTTP2(t, s), dialHTTP2(t, s)
		unix.Setrlimit(unix.RLIMIT_NOFILE, &before) // the server has read it
		for _, c := range []*h2client{waiting, other} {
			c.must(c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
			c.ask(1, "/large")
			for c.next() != http2.FrameHeaders {
			}
		}
		const most = (200 - 40) / 2 / 2 // beside one for each connection
		for i := range uint32(most) {
			other.ask(2*i+3, "/large")
			for other.next() != http2.FrameHeaders {
			}
		}
		waiting.ask(3, "/large")
		waiting.must(waiting.WritePing(false, [8]byte{}))
		for f := waiting.next(); f != http2.FramePing; f = waiting.next() {
			if f == http2.FrameHeaders {
				t.Fatal("the request does not wait")
			}
		}
		other.conn.Close()
		waiting.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		for waiting.next() != http2.FrameHeaders {
		}
		waiting.conn.Close()
		s.Stop()
	})
}
