package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// container starts a master as process 1 of a namespace of its own and
// returns it with the master's pid outside.
func container(t *testing.T, args ...string) (*server, int) {
	t.Helper()
	before := []string{tool(t, "apt-get install util-linux", "unshare"), "--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Geteuid() != 0 {
		before = append(before, "--map-root-user")
	}
	base := tree(t, map[string]string{"index.html": "front"})
	s := serveAs(t, plan{before: before, args: append(verbosely(base), args...)})
	inner := childrenOf(s.pid())
	if len(inner) != 1 {
		t.Fatalf("unshare has the children %v, want the master", inner)
	}
	// unshare dies of SIGINT itself, so cleaning up begins with the master.
	t.Cleanup(func() {
		if !s.gone() {
			// It may end in this moment by itself.
			_ = syscall.Kill(inner[0], syscall.SIGINT)
			s.wait(8 * time.Second)
		}
	})
	return s, inner[0]
}

// TestPID1 drains as the first process of a container, to which the kernel
// delivers no signal that it has not asked for.
func TestPID1(t *testing.T) {
	t.Parallel()
	each(t, models(), func(t *testing.T, model string) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			s, master := container(t, "--model", model)
			s.mustServe("/", "front")
			victim := childrenOf(master)[0]
			kill(t, victim, syscall.SIGKILL)
			for range 10 {
				s.mustServe("/", "front")
			}
			await(t, 3*time.Second, "a replacement", func() bool {
				now := childrenOf(master)
				return len(now) > 0 && now[0] != victim && len(zombiesOf(master)) == 0
			})
			kill(t, master, sig)
			if code := s.wait(5 * time.Second); code != 0 {
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
	enter := exec.CommandContext(t.Context(), tool(t, "apt-get install util-linux", "nsenter"),
		"--target", itoa(master), "--pid", "sh", "-c", "sh -c 'exec sleep 0.5' >/dev/null 2>&1 &")
	if out, err := enter.CombinedOutput(); err != nil {
		t.Fatalf("nsenter: %v\n%s", err, out)
	}
	sleeps := func(p process) bool { return p.parent == master && p.command == "sleep" }
	await(t, 3*time.Second, "the orphan's adoption", func() bool { return len(processes(sleeps)) == 1 })
	await(t, 3*time.Second, "the orphan's funeral", func() bool { return len(processes(sleeps)) == 0 })
	s.mustServe("/", "front")
	kill(t, master, syscall.SIGTERM)
	if code := s.wait(5 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}
