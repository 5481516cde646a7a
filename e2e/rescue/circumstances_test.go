package rescue

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestDrainTimeoutOfStoppedWorker reloads while the worker is stopped (SIGSTOP): it is killed when its drain
// times out, and its download continues in the worker that replaces it.
func TestDrainTimeoutOfStoppedWorker(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
	s := harness.Serve(t, base, "--workers", "1", "--drain-timeout", "1s")
	victim := s.Workers()[0]
	d := s.Begin("/big.bin", 64<<10)
	harness.Suspend(t, victim)
	s.Signal(syscall.SIGHUP)
	harness.AwaitEnd(t, 30*time.Second, victim)
	s.MustComplete(d)
	s.Interrupt()
	s.Wait(9 * time.Second) // not with status 0 if the drain, on a busy machine, takes more than the second
}

// TestRecycledForMemory makes a worker exceed --max-memory while it serves an idle client and a
// download, and kills the worker that replaces it: both connections survive.
func TestRecycledForMemory(t *testing.T) {
	t.Parallel()
	files := map[string]string{"index.html": "front"}
	for i := range 20_000 {
		files[fmt.Sprintf("many/%s %d.txt", strings.Repeat("long name ", 20), i)] = ""
	}
	base := harness.Tree(t, files)
	harness.Sparse(t, base+"/big.bin", 256<<20)
	s := harness.Serve(t, base, "--workers", "1", "--list", "--keepalive", "5m", "--max-memory", "16M")
	victim := s.Workers()[0]
	idle, d := s.Dial(), s.Begin("/big.bin", 64<<10)
	for _, c := range []*harness.Client{idle, d.Client} { // a worker is not recycled in its first half minute
		if err := c.SetDeadline(time.Now().Add(harness.InTime(2 * time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	s.MustAsk(idle, harness.Request("GET", "/"))
	harness.Await(t, 60*time.Second, "the recycling of the worker", func() bool {
		if now := s.Workers(); len(now) == 1 && now[0] != victim {
			return true
		}
		list(t, s.URL("/many/")) // uses memory while it is sent
		if err := d.Take(1 << 16); err != nil {
			t.Error(err)
		}
		return false
	})
	s.AwaitText(fmt.Sprintf(`"pid":%d,"reason":"`, victim))
	next := s.AwaitWorkers(1, victim)[0]
	s.MustAsk(idle, harness.Request("GET", "/"))
	harness.Kill(t, next, syscall.SIGKILL)
	s.MustAsk(idle, harness.Request("GET", "/"))
	s.MustComplete(d)
	s.AwaitWorkers(1, victim, next)
	s.Stop(5 * time.Second)
}

// list reads a directory listing to its end.
func list(t *testing.T, url string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
}

// TestRescueBehindSocketActivation kills a worker whose listening socket came from systemd: its
// download continues.
func TestRescueBehindSocketActivation(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
	socket, _ := harness.Listening(t, "127.0.0.1:0")
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
