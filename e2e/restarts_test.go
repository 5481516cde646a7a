package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestThousandRestarts replaces a worker a thousand times: nothing is left of
// the ones before, and the master does not grow.
func TestThousandRestarts(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	s := serveSilently(t, plan{args: []string{"--base", base, "--workers", "1"}})
	c := s.dial()
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	restart := func() {
		t.Helper()
		old := s.workers()
		s.signal(syscall.SIGHUP)
		s.awaitWorkers(1, old...)
		if r := s.mustAsk(c, request("GET", "/")); r.status != 200 || r.closes() {
			t.Fatalf("the client gets %d, closes %v", r.status, r.closes())
		}
	}
	for range 20 {
		restart()
	}
	before := s.holdings()
	for range 980 {
		restart()
	}
	after := s.holdings()
	if after.descriptors > before.descriptors || after.threads > before.threads+4 {
		t.Errorf("the master had %+v and has %+v", before, after)
	}
	// Its garbage collector first runs at 4 MiB.
	if grown := after.memory - before.memory; grown > 6<<20 {
		t.Errorf("the master grew by %d KiB", grown>>10)
	}
	if dead := zombiesOf(s.pid()); len(dead) > 0 {
		t.Errorf("not reaped: %v", dead)
	}
	s.stop(5 * time.Second)
}

// holdings is what a process has of the machine.
type holdings struct {
	descriptors, threads int
	memory               int // bytes that are its own
}

func (s *server) holdings() holdings {
	s.t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	h := holdings{descriptors: len(fds)}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			h.memory = atoi(strings.TrimSuffix(strings.TrimSpace(kib), " kB")) << 10
		}
		if n, ok := strings.CutPrefix(line, "Threads:"); ok {
			h.threads = atoi(strings.TrimSpace(n))
		}
	}
	return h
}
