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

// TestOutOfDescriptors gives every process 64 descriptors and opens 200
// connections: the server waits for better times, at rest.
func TestOutOfDescriptors(t *testing.T) {
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, model := range harness.ParallelModels() {
		t.Run(model, func(t *testing.T) {
			s := harness.ServeAs(t, harness.Plan{
				Before: []string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`},
				Args:   append(harness.Verbosely(base), "--model", model, "--workers", strconv.Itoa(harness.PoolSize(model, 2))),
			})
			workers := s.Workers()
			var crowd []*harness.Client
			for range 200 {
				c := s.Dial()
				if err := c.Send(harness.Request("GET", "/")); err != nil {
					t.Fatal(err)
				}
				crowd = append(crowd, c)
			}
			// Those who have their response are idle, and make room for the others.
			answers := map[int]int{}
			for _, c := range crowd {
				if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if r, err := c.Reply("GET"); err == nil {
					answers[r.Status]++
				}
			}
			if len(answers) != 1 || answers[200] != len(crowd) {
				t.Errorf("%d connections to processes with 64 descriptors were answered %v; want 200 for all of them", len(crowd), answers)
			}
			if used := usage(s.PID(), time.Second); used > 300*time.Millisecond {
				t.Errorf("without descriptors the server used %v of processor time in a second", used)
			}
			for _, c := range crowd {
				c.Close()
			}
			for range 10 {
				s.MustServe("/", "front")
			}
			if now := s.Workers(); len(now) != len(workers) || now[0] != workers[0] {
				t.Errorf("workers %v became %v", workers, now)
			}
		})
	}
}

// usage measures for how long a session computes within a time.
func usage(session int, during time.Duration) time.Duration {
	before := harness.CPU(session)
	<-time.After(during)
	return harness.CPU(session) - before
}

// TestIdleConnectionsUseNoCPU measures a server that has clients and nothing to do.
func TestIdleConnectionsUseNoCPU(t *testing.T) {
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, model := range harness.ParallelModels() {
		t.Run(model, func(t *testing.T) {
			s := harness.Serve(t, base, "--model", model)
			for range 100 {
				s.MustAsk(s.Dial(), harness.Request("GET", "/"))
			}
			if used := usage(s.PID(), time.Second); used > 50*time.Millisecond {
				t.Errorf("100 idle connections cost %v in a second", used)
			}
		})
	}
}

// TestNamesOfProcesses looks for the processes of a pool by their names, as ps shows them.
func TestNamesOfProcesses(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	count := func() map[string]int {
		names := map[string]int{}
		for _, p := range s.Session() {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID)) // it may have ended
			names[strings.TrimSpace(string(name))]++
		}
		return names
	}
	want := map[string]int{"phalanx-master": 1, "phalanx-worker": 2, "phalanx-keeper": 2}
	if !harness.Holds(5*time.Second, func() bool { return maps.Equal(count(), want) }) {
		t.Errorf("%v, want %v", count(), want)
	}
}
