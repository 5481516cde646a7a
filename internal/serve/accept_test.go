package serve

import (
	"bufio"
	"testing"
	"time"
)

// A worker whose slot is closed waits for what may still be on its way to it,
// which the kernel holds back for ten seconds; but no longer when the whole
// server ends meanwhile.
func TestFinishEndsThePatience(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/f", 10)
	eachWay(t, func(t *testing.T, way int) {
		finish := make(chan struct{})
		s := start(t, way, dir, func(cfg *Config) {
			cfg.Leave = func() Leaving { return Leaving{Steered: true} }
			cfg.Finish = finish
		})
		answered := func() {
			t.Helper()
			c := s.dial()
			send(t, c, get("/f", "Connection: close"))
			if res, body := receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
				t.Errorf("%s, %d bytes", res.Status, len(body))
			}
			c.Close()
		}
		answered() // it runs
		s.drain()
		// Longer than any last worker waits: this one goes on accepting.
		for began := time.Now(); time.Since(began) < 2*quietMax; {
			answered()
		}
		select {
		case err := <-s.done:
			t.Fatalf("ended after %v at most, want %v: %v", 2*quietMax, deferred, err)
		default:
		}
		c := s.dial()
		send(t, c, get("/f", "Connection: close"))
		began := time.Now()
		close(finish)
		if res, body := receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
			t.Errorf("what waited when it was told to finish: %s, %d bytes", res.Status, len(body))
		}
		c.Close()
		s.wait()
		if took := time.Since(began); took < quiet || took > deferred/2 {
			t.Errorf("ended %v after it was told to finish", took)
		}
	})
}

// Told to finish before it drains, a worker is as patient as the last one is.
func TestFinishedBefore(t *testing.T) {
	finish := make(chan struct{})
	close(finish)
	eachWay(t, func(t *testing.T, way int) {
		s := start(t, way, t.TempDir(), func(cfg *Config) {
			cfg.Leave = func() Leaving { return Leaving{Steered: true} }
			cfg.Finish = finish
		})
		began := time.Now()
		s.stop()
		if took := time.Since(began); took < quiet || took > deferred/2 {
			t.Errorf("ended after %v", took)
		}
	})
}
