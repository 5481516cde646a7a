package serve_test

import (
	"bufio"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// A worker whose slot is closed waits for what may still be on its way to it,
// which the kernel holds back for ten seconds; but no longer when the whole
// server ends meanwhile.
func TestFinishEndsThePatience(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/f", 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		finish := make(chan struct{})
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Leave = func() serve.Leaving { return serve.Leaving{Steered: true} }
			cfg.Finish = finish
		})
		answered := func() {
			t.Helper()
			c := s.Dial()
			servetest.Send(t, c, servetest.Get("/f", "Connection: close"))
			if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
				t.Errorf("%s, %d bytes", res.Status, len(body))
			}
			c.Close()
		}
		answered() // it runs
		s.Drain()
		// Longer than any last worker waits: this one goes on accepting.
		for began := time.Now(); time.Since(began) < 2*serve.QuietMax; {
			answered()
		}
		select {
		case err := <-s.Done:
			t.Fatalf("ended after %v at most, want %v: %v", 2*serve.QuietMax, serve.Deferred, err)
		default:
		}
		c := s.Dial()
		servetest.Send(t, c, servetest.Get("/f", "Connection: close"))
		began := time.Now()
		close(finish)
		if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
			t.Errorf("what waited when it was told to finish: %s, %d bytes", res.Status, len(body))
		}
		c.Close()
		s.Wait()
		if took := time.Since(began); took < serve.Quiet || took > serve.Deferred/2 {
			t.Errorf("ended %v after it was told to finish", took)
		}
	})
}

// Told to finish before it drains, a worker is as patient as the last one is.
func TestFinishedBefore(t *testing.T) {
	finish := make(chan struct{})
	close(finish)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s := servetest.Start(t, t.TempDir(), run, func(cfg *serve.Config) {
			cfg.Leave = func() serve.Leaving { return serve.Leaving{Steered: true} }
			cfg.Finish = finish
		})
		began := time.Now()
		s.Stop()
		if took := time.Since(began); took < serve.Quiet || took > serve.Deferred/2 {
			t.Errorf("ended after %v", took)
		}
	})
}
