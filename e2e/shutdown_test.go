package e2e

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestDrain stops a server that has nothing to do, and one whose clients are
// idle: it must not take the 30 s of their keep-alive.
func TestDrain(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for _, model := range models() {
			t.Run(fmt.Sprintf("%s/%v", model, sig), func(t *testing.T) {
				t.Parallel()
				s := serve(t, base, "--model", model)
				idle := s.dial()
				s.mustAsk(idle, request("GET", "/"))
				silent := s.dial()
				s.signal(sig)
				if code := s.wait(4 * time.Second); code != 0 {
					t.Errorf("exit status %d, want 0", code)
				}
				s.mustEnd(idle, time.Second, "the idle connection")
				// The kernel may have kept a client that never spoke from
				// the server; then only its first word meets the end.
				_ = silent.send("GET")
				s.mustEnd(silent, time.Second, "the silent connection")
				if !refused(s.port) {
					t.Error("somebody still listens")
				}
			})
		}
	}
}

// TestQueueIsServed stops the server while requests wait in the accept
// queue, because its workers are held up: each must still be answered.
func TestQueueIsServed(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model)
		s.mustServe("/", "front")
		workers := s.workers()
		for _, pid := range workers {
			hold(t, pid)
		}
		var waiting []*client
		for range 30 {
			c := s.dial()
			if err := c.send(request("GET", "/")); err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, c)
		}
		s.interrupt()
		for _, pid := range workers {
			kill(t, pid, syscall.SIGCONT)
		}
		for i, c := range waiting {
			r, err := c.reply("GET")
			if err != nil || r.status != 200 || string(r.body) != "front" {
				t.Errorf("client %d of %d in the queue: %v %v", i+1, len(waiting), r, err)
				continue
			}
			s.mustEnd(c, 2*time.Second, "a client of the queue")
			c.Close()
		}
		if code := s.wait(5 * time.Second); code != 0 {
			t.Errorf("exit status %d, want 0", code)
		}
	})
}

// TestPipelineIsServed stops the server when it has read the first of
// several requests: all of them had been sent, so all are answered.
func TestPipelineIsServed(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, base+"/big.bin", 64<<20)
	each(t, parallelModels(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model)
		d := s.begin("/big.bin", 64<<10)
		for range 5 {
			if err := d.send(request("GET", "/")); err != nil {
				t.Fatal(err)
			}
		}
		s.interrupt()
		s.awaitRefusal()
		s.mustComplete(d)
		for i := range 5 {
			r, err := d.reply("GET")
			if err != nil || string(r.body) != "front" {
				t.Fatalf("answer %d of 5: %v %v", i+1, r, err)
			}
			if r.closes() {
				if i < 4 {
					t.Errorf("answer %d of 5 closes", i+1)
				}
				break
			}
		}
		s.mustEnd(d.client, 2*time.Second, "after the last answer")
		// The server waits a while for the end of one who may have more to say.
		d.Close()
		if code := s.wait(3 * time.Second); code != 0 {
			t.Errorf("exit status %d, want 0", code)
		}
	})
}

// TestDrainUnderLoad stops the server while many clients ask as fast as they
// can: a connection may be refused, but a request that was accepted is
// answered.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model)
		const clients = 16
		broken := make(chan error, clients)
		for range clients {
			go func() { broken <- untilRefused(s.port) }()
		}
		s.awaitRequests(500)
		s.stop(6 * time.Second)
		for range clients {
			if err := <-broken; err != nil {
				t.Error(err)
			}
		}
	})
}

// untilRefused asks over new connections until nobody listens any more, and
// returns the first answer that was not right.
func untilRefused(port int) error {
	for {
		c, err := connect(port)
		if err != nil {
			return nil
		}
		r, err := c.ask(request("GET", "/", "Connection: close"))
		c.Close()
		if err != nil {
			return fmt.Errorf("a connection was accepted and not answered: %w", err)
		}
		if r.status != 200 || string(r.body) != "front" {
			return fmt.Errorf("answer %d %q", r.status, r.body)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
