package pool

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// container starts a master as process 1 of a namespace of its own and
// returns it with the master's pid outside.
func container(t *testing.T, args ...string) (*harness.Server, int) {
	t.Helper()
	before := []string{harness.Tool(t, "apt-get install util-linux", "unshare"), "--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Geteuid() != 0 {
		before = append(before, "--map-root-user")
	}
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.ServeAs(t, harness.Plan{Before: before, Args: append(harness.Verbosely(base), args...)})
	inner := harness.ChildrenOf(s.PID())
	if len(inner) != 1 {
		t.Fatalf("unshare has the children %v, want the master", inner)
	}
	// unshare dies of SIGINT itself, so cleaning up begins with the master.
	t.Cleanup(func() {
		if !s.Gone() {
			// It may end in this moment by itself.
			_ = syscall.Kill(inner[0], syscall.SIGINT)
			s.Wait(8 * time.Second)
		}
	})
	return s, inner[0]
}

// TestPID1 drains as the first process of a container, to which the kernel
// delivers no signal that it has not asked for.
func TestPID1(t *testing.T) {
	t.Parallel()
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
			s, master := container(t, "--model", model)
			s.MustServe("/", "front")
			victim := harness.WorkersOf(master)[0]
			harness.Kill(t, victim, syscall.SIGKILL)
			for range 10 {
				s.MustServe("/", "front")
			}
			harness.Await(t, 3*time.Second, "a replacement", func() bool {
				now := harness.WorkersOf(master)
				return len(now) > 0 && now[0] != victim && len(harness.ZombiesOf(master)) == 0
			})
			harness.Kill(t, master, sig)
			if code := s.Wait(5 * time.Second); code != 0 {
				t.Errorf("exit status %d after %v, want 0", code, sig)
			}
		}
	})
}

// TestPID1Reaps leaves an orphan to the master, as a shell does that somebody
// has run in the container: process 1 is everybody's parent in the end.
func TestPID1Reaps(t *testing.T) {
	t.Parallel()
	s, master := container(t)
	enter := exec.CommandContext(t.Context(), harness.Tool(t, "apt-get install util-linux", "nsenter"),
		"--target", strconv.Itoa(master), "--pid", "sh", "-c", "sh -c 'exec sleep 100' >/dev/null 2>&1 &")
	if out, err := enter.CombinedOutput(); err != nil {
		t.Fatalf("nsenter: %v\n%s", err, out)
	}
	sleeps := func(p harness.Process) bool { return p.Parent == master && p.Command == "sleep" }
	harness.Await(t, 3*time.Second, "the orphan's adoption", func() bool { return len(harness.Processes(sleeps)) == 1 })
	harness.Kill(t, harness.Processes(sleeps)[0].PID, syscall.SIGKILL)
	harness.Await(t, 3*time.Second, "the orphan's funeral", func() bool { return len(harness.Processes(sleeps)) == 0 })
	s.MustServe("/", "front")
	harness.Kill(t, master, syscall.SIGTERM)
	if code := s.Wait(5 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}
