package rescue

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

var deaths = flag.Int("kill.deaths", 100, "number of workers that TestRepeatedKills kills in a row")

// TestRepeatedKills kills one worker after another. A client's connection survives all of them, and
// no keeper, descriptor or zombie is left over.
func TestRepeatedKills(t *testing.T) {
	t.Parallel()
	s := harness.ServeSilently(t, harness.Plan{
		Binary: filepath.Join(harness.Tagged(t, "killpoints"), "master"), Args: []string{"--base", tree(t), "--workers", "1"},
	})
	c := s.Dial()
	if err := c.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	s.MustAsk(c, harness.Request("GET", "/"))
	die := func() {
		t.Helper()
		victim := s.Workers()[0]
		harness.Kill(t, victim, syscall.SIGKILL)
		s.MustPersist(c)
		s.AwaitWorkers(1, victim)
	}
	for range 10 {
		die()
	}
	before := descriptors(t, s.PID())
	for range *deaths {
		die()
	}
	harness.Await(t, 5*time.Second, "one keeper, and about as many descriptors as before", func() bool {
		return len(harness.KeepersOf(s.PID())) == 1 && descriptors(t, s.PID()) <= before+8
	})
	s.MustReap()
	s.Stop(5 * time.Second)
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// TestKeeperKilled kills a keeper alone, whose worker is then replaced, and later a worker and its
// keeper together: their connections are lost, and the log says so.
func TestKeeperKilled(t *testing.T) {
	t.Parallel()
	o := harness.Operated(t, harness.Plan{Args: []string{"--base", tree(t), "--workers", "1"}})
	s := o.Server
	c := s.Dial()
	s.MustAsk(c, harness.Request("GET", "/"))
	first := harness.KeepersOf(s.PID())
	if len(first) != 1 {
		t.Fatalf("keepers %v, want one", first)
	}
	victim := s.Workers()[0]
	harness.Kill(t, first[0], syscall.SIGKILL)
	s.AwaitWorkers(1, victim)
	s.MustAsk(c, harness.Request("GET", "/"))
	var second []int
	harness.Await(t, 5*time.Second, "another keeper", func() bool {
		second = harness.KeepersOf(s.PID())
		return len(second) == 1 && !slices.Contains(second, first[0])
	})
	victim = s.Workers()[0]
	harness.Kill(t, victim, syscall.SIGKILL)
	s.MustAsk(c, harness.Request("GET", "/"))
	s.AwaitWorkers(1, victim)

	victim, keeper := s.Workers()[0], 0
	harness.Await(t, 5*time.Second, "the keeper of the new worker alone", func() bool {
		all := harness.KeepersOf(s.PID())
		if len(all) == 1 {
			keeper = all[0]
		}
		return keeper != 0 && keeper != second[0]
	})
	harness.Suspend(t, victim) // so that it does not hand its connections over
	harness.Kill(t, keeper, syscall.SIGKILL)
	harness.Kill(t, victim, syscall.SIGKILL)
	s.MustEnd(c, 5*time.Second, "the client of a worker that was killed with its keeper")
	harness.Await(t, 5*time.Second, "a line that connections are lost", func() bool {
		return strings.Contains(s.Log.String(), "lost: its keeper is gone") || strings.Contains(s.Log.String(), "are lost: the keeper is gone")
	})
	harness.Await(t, 5*time.Second, "a count of the failed rescue", func() bool {
		all := o.MustScrape()
		return all["phalanx_rescues_failed_total"] == 1 && all["phalanx_rescues_total"] == 1
	})
	s.MustServe("/", "front")
	if n := len(s.AwaitWorkers(1, victim)); n != 1 {
		t.Errorf("%d workers, want 1", n)
	}
	s.Stop(5 * time.Second)
}
