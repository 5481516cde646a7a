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

// TestThousandRestarts reloads a thousand times: the master's descriptors, threads and memory do not grow.
func TestThousandRestarts(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--workers", "1"}})
	c := s.Dial()
	restart := func() {
		t.Helper()
		s.Replace(syscall.SIGHUP, 1)
		if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
			t.Fatal(err)
		}
		s.MustPersist(c)
	}
	for range 20 {
		restart()
	}
	before := resourcesOf(s)
	for range 980 {
		restart()
	}
	// A few descriptors belong to a rescue or a check that may be under way at either moment.
	var after resources
	same := func() bool {
		after = resourcesOf(s)
		return after.descriptors <= before.descriptors+8 && after.threads <= before.threads+32 // Go keeps threads that it once needed
	}
	if !harness.Holds(2*time.Second, same) {
		t.Errorf("the master's resources went from %+v to %+v", before, after)
	}
	// The Go garbage collector first runs at 4 MiB.
	if grown := after.memory - before.memory; grown > 6<<20 {
		t.Errorf("the master's memory grew by %d KiB, want at most 6 MiB", grown>>10)
	}
	s.MustReap()
	s.Stop(5 * time.Second)
}

// resources are the resources of a process.
type resources struct {
	descriptors, threads int
	memory               int // private, in bytes
}

func resourcesOf(s *harness.Server) resources {
	s.T.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		s.T.Fatal(err)
	}
	status := harness.Read(s.T, fmt.Sprintf("/proc/%d/status", s.PID()))
	h := resources{descriptors: len(fds)}
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
