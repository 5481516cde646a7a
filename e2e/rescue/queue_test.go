package rescue

import (
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestWorkerSignalledBeforeStop sends SIGTERM to a worker with clients in its accept queue and then
// stops the server, at once or when the next worker has started: all clients are served.
func TestWorkerSignalledBeforeStop(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"epoll", "netpoll"} {
		for _, when := range []string{"at once", "next worker"} {
			t.Run(engine+" "+when, func(t *testing.T) {
				t.Parallel()
				base := harness.Tree(t, map[string]string{"index.html": "front"})
				s := harness.Serve(t, base, "--workers", "1", "--engine", engine)
				first := s.Workers()[0]
				harness.Suspend(t, first)
				harness.Kill(t, first, syscall.SIGTERM)
				clients := s.DialAll(20, harness.Request("GET", "/"))
				harness.Kill(t, first, syscall.SIGCONT)
				if when == "next worker" {
					s.AwaitMessages(2, "worker started")
				}
				s.Interrupt()
				s.MustReply(clients, "front")
				s.MustExit(15 * time.Second)
			})
		}
	}
}
