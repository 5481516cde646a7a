package pool

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestOutOfDescriptors opens 200 connections to processes that may have 64 descriptors each: every client
// is served, because idle connections are closed for new ones, and the server uses little CPU time.
func TestOutOfDescriptors(t *testing.T) {
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, model := range harness.ParallelModels() {
		t.Run(model, func(t *testing.T) {
			s := harness.ServeAs(t, harness.Plan{
				Before: []string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`},
				Args:   append(harness.Verbosely(base), "--model", model, "--workers", strconv.Itoa(harness.PoolSize(model, 2))),
			})
			workers := s.Workers()
			crowd := s.DialAll(200, harness.Request("GET", "/"))
			// Clients that have received their response are idle and make room for the others.
			answers := map[int]int{}
			for _, c := range crowd {
				if err := c.SetReadDeadline(time.Now().Add(harness.InTime(5 * time.Second))); err != nil {
					t.Fatal(err)
				}
				if r, err := c.Reply("GET"); err == nil {
					answers[r.Status]++
				}
			}
			if len(answers) != 1 || answers[200] != len(crowd) {
				t.Errorf("responses by status to %[1]d connections: %[2]v; want 200 for all", len(crowd), answers)
			}
			if used := usage(s.PID(), 300*time.Millisecond); used > 300*time.Millisecond {
				t.Errorf("out of descriptors, the server used %v of CPU time in a second, want at most 300 ms", used)
			}
			for _, c := range crowd {
				c.Close()
			}
			for range 10 {
				s.MustServe("/", "front")
			}
			if now := s.Workers(); len(now) != len(workers) || now[0] != workers[0] {
				t.Errorf("the workers are %v, want %v", now, workers)
			}
		})
	}
}

// usage returns the CPU time that a session uses in a second. If that is more than wanted, it looks at up to four
// more seconds: a virtual machine may count time that its host has taken away.
func usage(session int, wanted time.Duration) (used time.Duration) {
	for range 5 {
		before := harness.CPU(session)
		<-time.After(time.Second)
		if used = harness.CPU(session) - before; used <= wanted {
			break
		}
	}
	return used
}

// TestIdleConnectionsUseNoCPU measures the CPU time of a server with 100 idle connections.
func TestIdleConnectionsUseNoCPU(t *testing.T) {
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, model := range harness.ParallelModels() {
		t.Run(model, func(t *testing.T) {
			s := harness.Serve(t, base, "--model", model)
			for range 100 {
				s.MustAsk(s.Dial(), harness.Request("GET", "/"))
			}
			if used := usage(s.PID(), 50*time.Millisecond); used > 50*time.Millisecond {
				t.Errorf("100 idle connections used %v of CPU time in a second, want at most 50 ms", used)
			}
		})
	}
}

// TestProcessNames checks the names of the pool's processes, as ps shows them.
func TestProcessNames(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	count := func() map[string]int {
		names := map[string]int{}
		for _, p := range s.Session() {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID)) // it may have exited
			names[strings.TrimSpace(string(name))]++
		}
		return names
	}
	want := map[string]int{"phalanx-master": 1, "phalanx-worker": 2, "phalanx-keeper": 2}
	if !harness.Holds(5*time.Second, func() bool { return maps.Equal(count(), want) }) {
		t.Errorf("process names %v, want %v", count(), want)
	}
}
