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
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	restart := func() {
		t.Helper()
		s.Replace(syscall.SIGHUP, 1)
		s.MustPersist(c)
	}
	for range 20 {
		restart()
	}
	before := resourcesOf(s)
	for range 980 {
		restart()
	}
	// What belongs to the last worker is released a moment after its exit.
	var after resources
	same := func() bool {
		after = resourcesOf(s)
		return after.descriptors <= before.descriptors && after.threads <= before.threads+32 // Go keeps threads that it once needed
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
