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

// container starts a master as PID 1 of a namespace and returns it with the master's pid on the host.
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
		t.Fatalf("unshare's child processes are %v, want only the master", inner)
	}
	// SIGINT kills unshare itself, so the cleanup stops the master first.
	t.Cleanup(func() {
		if !s.Gone() {
			// It may be exiting already.
			_ = syscall.Kill(inner[0], syscall.SIGINT)
			s.Wait(8 * time.Second)
		}
	})
	return s, inner[0]
}

// TestPID1 runs the master as PID 1 of a container, to which the kernel delivers only signals that it handles:
// it replaces workers, reaps them and drains on each signal.
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

// TestPID1Reaps leaves an orphan in the container: its new parent, the master, reaps it.
func TestPID1Reaps(t *testing.T) {
	t.Parallel()
	s, master := container(t)
	enter := exec.CommandContext(t.Context(), harness.Tool(t, "apt-get install util-linux", "nsenter"),
		"--target", strconv.Itoa(master), "--pid", "sh", "-c", "sh -c 'exec sleep 100' >/dev/null 2>&1 &")
	if out, err := enter.CombinedOutput(); err != nil {
		t.Fatalf("nsenter: %v\n%s", err, out)
	}
	sleeps := func(p harness.Process) bool { return p.Parent == master && p.Command == "sleep" }
	harness.Await(t, 3*time.Second, "the master as the orphan's parent", func() bool { return len(harness.Processes(sleeps)) == 1 })
	harness.Kill(t, harness.Processes(sleeps)[0].PID, syscall.SIGKILL)
	harness.Await(t, 3*time.Second, "the reaping of the orphan", func() bool { return len(harness.Processes(sleeps)) == 0 })
	s.MustServe("/", "front")
	harness.Kill(t, master, syscall.SIGTERM)
	s.MustExit(5 * time.Second)
}
