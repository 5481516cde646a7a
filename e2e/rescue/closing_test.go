package rescue

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestClosingSlotKilled kills the worker of a slot that is being closed while it has idle
// connections and clients in its accept queue: all are served.
func TestClosingSlotKilled(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"epoll", "netpoll"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			base := harness.Tree(t, map[string]string{"index.html": "front"})
			s := harness.Serve(t, base, "--workers", "2", "--engine", engine)
			idle := s.OneForEach()
			victim := 0
			events, _ := s.Log.All()
			for _, e := range harness.WithMessage(events, "worker ready") {
				if e.Number("slot") == 1 {
					victim = e.Number("pid")
				}
			}
			harness.Suspend(t, victim)
			clients := s.DialAll(30, harness.Request("GET", "/")) // about half of them are in the victim's queue
			s.Signal(syscall.SIGTTOU)
			s.AwaitMessages(1, "slot closed")
			harness.Kill(t, victim, syscall.SIGKILL)
			if engine == "epoll" {
				clients = append(clients, idle[victim])
				s.MustSend(idle[victim], harness.Request("GET", "/"))
			}
			s.MustReply(clients, "front")
			s.AwaitText(fmt.Sprintf("worker 1 (pid %d) died while draining: killed by SIGKILL", victim))
			harness.Await(t, 20*time.Second, "one worker", func() bool { return len(s.Workers()) == 1 })
			s.Stop(5 * time.Second)
		})
	}
}
