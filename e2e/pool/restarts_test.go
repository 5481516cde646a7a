package pool

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestThousandRestarts replaces a worker a thousand times: nothing is left of
// the ones before, and the master does not grow.
func TestThousandRestarts(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--workers", "1"}})
	c := s.Dial()
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	restart := func() {
		t.Helper()
		old := s.Workers()
		s.Signal(syscall.SIGHUP)
		s.AwaitWorkers(1, old...)
		if r := s.MustAsk(c, harness.Request("GET", "/")); r.Status != 200 || r.Closes() {
			t.Fatalf("the client gets %d, closes %v", r.Status, r.Closes())
		}
	}
	for range 20 {
		restart()
	}
	before := holdingsOf(s)
	for range 980 {
		restart()
	}
	// What belongs to the last one goes a moment after it.
	var after holdings
	same := func() bool {
		after = holdingsOf(s)
		return after.descriptors <= before.descriptors && after.threads <= before.threads+32 // Go keeps those that it needed in a busy moment
	}
	if !harness.Holds(2*time.Second, same) {
		t.Errorf("the master had %+v and has %+v", before, after)
	}
	// Its garbage collector first runs at 4 MiB.
	if grown := after.memory - before.memory; grown > 6<<20 {
		t.Errorf("the master grew by %d KiB", grown>>10)
	}
	s.MustReap()
	s.Stop(5 * time.Second)
}

// holdings is what a process has of the machine.
type holdings struct {
	descriptors, threads int
	memory               int // bytes that are its own
}

func holdingsOf(s *harness.Server) holdings {
	s.T.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		s.T.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		s.T.Fatal(err)
	}
	h := holdings{descriptors: len(fds)}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			h.memory = harness.Atoi(strings.TrimSuffix(strings.TrimSpace(kib), " kB")) << 10
		}
		if n, ok := strings.CutPrefix(line, "Threads:"); ok {
			h.threads = harness.Atoi(strings.TrimSpace(n))
		}
	}
	return h
}
