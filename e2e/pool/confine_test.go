package pool

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestConfineWithoutLandlock runs on a kernel that seems to have no Landlock: required
// refuses to start, auto says what is missing, once, and serves.
func TestConfineWithoutLandlock(t *testing.T) {
	t.Parallel()
	without := []string{
		harness.Tool(t, "apt-get install strace", "strace"), "-f", "-qq", "-o", filepath.Join(harness.OpenDir(t), "calls"),
		"-e", "trace=landlock_create_ruleset", "-e", "inject=landlock_create_ruleset:error=ENOSYS",
	}
	args := append(harness.Verbosely(harness.Tree(t, map[string]string{"index.html": "front"})), "--workers", "2", "--confine")
	s := harness.Launch(t, harness.Plan{Before: without, Args: append(args, "required")})
	if code := s.Wait(20 * time.Second); code != 78 || !strings.Contains(s.Log.String(), "--confine required: the kernel has no Landlock; use a newer kernel, or --confine auto") {
		t.Errorf("exit status %d: %s", code, s.Log)
	}
	s = harness.ServeAs(t, harness.Plan{Before: without, Args: append(args, "auto")})
	s.MustServe("/", "front")
	events, _ := s.Log.All()
	if n := len(harness.WithMessage(events, "sandbox of workers incomplete")); n != 1 {
		t.Errorf("%d lines say what is missing: %s", n, s.Log)
	}
	harness.Kill(t, harness.ChildrenOf(s.PID())[0], syscall.SIGINT) // strace keeps signals to itself
	if code := s.Wait(20 * time.Second); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
