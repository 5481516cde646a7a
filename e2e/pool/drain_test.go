package pool

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestDrain stops a server whose only clients are idle or silent: it exits without waiting for the 30 s of
// --keepalive.
func TestDrain(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		for _, model := range harness.Models() {
			t.Run(fmt.Sprintf("%s/%v", model, sig), func(t *testing.T) {
				t.Parallel()
				s := harness.Serve(t, base, "--model", model)
				idle := s.Dial()
				s.MustAsk(idle, harness.Request("GET", "/"))
				silent := s.Dial()
				s.Signal(sig)
				s.MustExit(4 * time.Second)
				s.MustEnd(idle, time.Second, "the idle connection")
				// The kernel may not have given the silent connection to the server yet (TCP_DEFER_ACCEPT),
				// so send something to meet its end.
				_ = silent.Send("GET")
				s.MustEnd(silent, time.Second, "the silent connection")
			})
		}
	}
}

// TestAcceptQueueIsServed stops the server while requests wait in the accept queues of its stopped
// workers: each gets a response.
func TestAcceptQueueIsServed(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		s.MustServe("/", "front")
		workers := s.Workers()
		for _, pid := range workers {
			harness.Suspend(t, pid)
		}
		waiting := s.DialAll(30, harness.Request("GET", "/"))
		s.Interrupt()
		for _, pid := range workers {
			harness.Kill(t, pid, syscall.SIGCONT)
		}
		for i, c := range waiting {
			r, err := c.Reply("GET")
			if err != nil || r.Status != 200 || string(r.Body) != "front" {
				t.Errorf("client %d of %d in the accept queue: %v, error %v", i+1, len(waiting), r, err)
				continue
			}
			s.MustEnd(c, 2*time.Second, "a client of the accept queue")
			c.Close()
		}
		s.MustExit(5 * time.Second)
	})
}

// TestPipelineIsServed stops the server when it has read only the first of several pipelined requests: all
// get a response.
func TestPipelineIsServed(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		d := s.Begin("/big.bin", 64<<10)
		for range 5 {
			s.MustSend(d.Client, harness.Request("GET", "/"))
		}
		s.Interrupt()
		s.AwaitRefusal()
		s.MustComplete(d)
		for i := range 5 {
			r, err := d.Reply("GET")
			if err != nil || string(r.Body) != "front" {
				t.Fatalf("response %d of 5: %v, error %v", i+1, r, err)
			}
			if r.Closes() {
				if i < 4 {
					t.Errorf("response %d of 5 has Connection: close", i+1)
				}
				break
			}
		}
		s.MustEnd(d.Client, 2*time.Second, "after the last response")
		// The server waits a while for the client to close, as it may still be sending.
		d.Close()
		s.MustExit(3 * time.Second)
	})
}

// TestDrainUnderLoad stops the server while many clients make requests as fast as they can: a connection may
// be refused, but every request on an accepted one gets a response.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		const clients = 16
		broken := make(chan error, clients)
		for range clients {
			go func() { broken <- untilRefused(s.Port) }()
		}
		s.AwaitRequests(500)
		s.Stop(6 * time.Second)
		for range clients {
			if err := <-broken; err != nil {
				t.Error(err)
			}
		}
	})
}

// prompt is the time within which a client sends its request after connecting. A server that drains keeps
// listening until no connection has come for 50 ms (serve.Quiet), by a clock that may be as old as one
// iteration; a client that was slower, on a busy machine, may be disconnected.
const prompt = 10 * time.Millisecond

// untilRefused makes requests on new connections until the port refuses them, and returns the first error or
// wrong response.
func untilRefused(port int) error {
	for {
		began := time.Now()
		c, err := harness.Connect(port)
		if err != nil {
			return nil
		}
		err = c.Send(harness.Request("GET", "/", "Connection: close"))
		late := time.Since(began) > prompt
		var r *harness.Reply
		if err == nil {
			r, err = c.Reply("GET")
		}
		c.Close()
		if late && harness.IsCut(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("no response on an accepted connection: %w", err)
		}
		if r.Status != 200 || string(r.Body) != "front" {
			return fmt.Errorf("response %d %q, want 200 with \"front\"", r.Status, r.Body)
		}
	}
}
