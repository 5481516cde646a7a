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
			var clients []*harness.Client
			for range 40 {
				c := s.Dial()
				s.MustAsk(c, harness.Request("GET", "/"))
				clients = append(clients, c)
			}
			worker := s.Workers()[0]
			harness.Suspend(t, worker)
			for _, c := range clients {
				s.MustSend(c, harness.Request("GET", "/"))
			}
			<-time.After(keepAlive + time.Second/2)
			harness.Kill(t, worker, syscall.SIGCONT)
			s.MustReply(clients, "front")
		})
	}
}
