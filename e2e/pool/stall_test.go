package pool

import (
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestRequestsDuringStall stops a worker with SIGSTOP for longer than --keepalive: when it continues, it
// serves the requests that clients have sent meanwhile.
func TestRequestsDuringStall(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"epoll", "netpoll"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			const keepAlive = 2 * time.Second
			base := harness.Tree(t, map[string]string{"index.html": "front"})
			s := harness.Serve(t, base, "--workers", "1", "--engine", engine, "--keepalive", keepAlive.String())
			clients, worker := stalled(s, keepAlive)
			for _, c := range clients {
				s.MustSend(c, harness.Request("GET", "/"))
			}
			<-time.After(keepAlive + time.Second/2)
			harness.Kill(t, worker, syscall.SIGCONT)
			s.MustReply(clients, "front")
		})
	}
}

// stalled opens persistent connections and stops their worker before any of them has been idle for too long.
func stalled(s *harness.Server, keepAlive time.Duration) (clients []*harness.Client, worker int) {
	s.T.Helper()
	worker = s.Workers()[0]
	for {
		began := time.Now()
		for range 40 {
			c := s.Dial()
			s.MustAsk(c, harness.Request("GET", "/"))
			clients = append(clients, c)
		}
		harness.Suspend(s.T, worker)
		if time.Since(began) < keepAlive {
			return clients, worker
		}
		harness.Kill(s.T, worker, syscall.SIGCONT) // on a busy machine
		clients = nil
	}
}
