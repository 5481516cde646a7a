package rescue

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestDrainThatIsIgnored reloads while a worker stands still: it is killed when its
// drain times out, and its download continues in the worker that replaced it.
func TestDrainThatIsIgnored(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 256<<20)
	s := harness.Serve(t, base, "--workers", "1", "--drain-timeout", "1s")
	victim := s.Workers()[0]
	d := s.Begin("/big.bin", 64<<10)
	harness.Hold(t, victim)
	s.Signal(syscall.SIGHUP)
	harness.AwaitEnd(t, 30*time.Second, victim)
	s.MustComplete(d)
}

// TestRescueBehindSocketActivation kills a worker whose listening socket came from
// systemd.
func TestRescueBehindSocketActivation(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 256<<20)
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := l.(*net.TCPListener).File()
	l.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := harness.ServeAs(t, harness.Plan{
		Before: []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"},
		Args:   append(harness.Verbosely(base), "--workers", "1"),
		Files:  []*os.File{socket},
	})
	victim := s.Workers()[0]
	d := s.Begin("/big.bin", 64<<10)
	harness.Kill(t, victim, syscall.SIGKILL)
	s.MustComplete(d)
	s.AwaitWorkers(1, victim)
}
