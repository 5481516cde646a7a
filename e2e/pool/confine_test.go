package pool

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestConfineWithoutLandlock runs on a kernel without Landlock, by strace: --confine required refuses to
// start, and auto logs once what is missing, and serves.
func TestConfineWithoutLandlock(t *testing.T) {
	t.Parallel()
	without := []string{
		harness.Tool(t, "apt-get install strace", "strace"), "-f", "-qq", "-o", filepath.Join(harness.OpenDir(t), "calls"),
		"-e", "trace=landlock_create_ruleset", "-e", "inject=landlock_create_ruleset:error=ENOSYS",
	}
	args := append(harness.Verbosely(harness.Tree(t, map[string]string{"index.html": "front"})), "--workers", "2", "--confine")
	s := harness.Launch(t, harness.Plan{Before: without, Args: append(args, "required")})
	if code := s.Wait(20 * time.Second); code != 78 || !strings.Contains(s.Log.String(), "--confine required: the kernel has no Landlock; use a newer kernel, or --confine auto") {
		t.Errorf("exit status %d, want 78 and the reason: %s", code, s.Log)
	}
	s = harness.ServeAs(t, harness.Plan{Before: without, Args: append(args, "auto")})
	s.MustServe("/", "front")
	events, _ := s.Log.All()
	if n := len(harness.WithMessage(events, "sandbox of workers incomplete")); n != 1 {
		t.Errorf("%d lines say what is missing, want 1: %s", n, s.Log)
	}
	harness.Kill(t, harness.ChildrenOf(s.PID())[0], syscall.SIGINT) // strace does not forward signals
	s.MustExit(20 * time.Second)
}

// TestUnprivileged starts the master as the systemd unit does: not as root, with the capability to bind ports
// below 1024. Its workers are sandboxed and do not have the capability, rescues work, and so do a reload and
// an upgrade.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	args := append(harness.Verbosely(harness.Tree(t, map[string]string{"index.html": "front"})), "--workers", "2", "--confine", "required")
	var before []string
	if os.Geteuid() == 0 { // other users cannot have the capability here
		before = []string{
			harness.Tool(t, "apt-get install util-linux", "setpriv"), "--reuid", strconv.Itoa(harness.Nobody), "--regid", strconv.Itoa(harness.Nobody), "--clear-groups",
			"--bounding-set", "-all,+net_bind_service", "--inh-caps", "-all,+net_bind_service", "--ambient-caps", "-all,+net_bind_service", "--no-new-privs",
		}
		args = append(args, "--port", strconv.Itoa(privilegedPort(t)))
	}
	s := harness.ServeAs(t, harness.Plan{Before: before, Args: args})
	for replaced, after := range []string{"the start", "a reload", "an upgrade"} {
		switch after {
		case "a reload":
			s.Signal(syscall.SIGHUP)
		case "an upgrade": // which also replaces the workers
			s.Signal(syscall.SIGUSR2)
		}
		s.AwaitMessages(replaced, "workers replaced")
		s.AwaitWorkers(2)
		client := s.Dial()
		s.MustAsk(client, harness.Request("GET", "/"))
		victim := s.AwaitRequestOf(client).Number("pid")
		checkUnprivileged(t, victim)
		harness.Kill(t, victim, syscall.SIGKILL)
		s.AwaitWorkers(2, victim)
		if r := s.MustAsk(client, harness.Request("GET", "/")); string(r.Body) != "front" {
			t.Errorf("after %s and a kill: %q, want \"front\"", after, r.Body)
		}
	}
	s.Stop(10 * time.Second)
}

// TestPrivateDocumentRoot serves a directory that only its owner may enter: as root, one line says that the
// workers cannot read it, and none is about a file in it; other users cannot start.
func TestPrivateDocumentRoot(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front", "_redirects": "/a /b"})
	mode := map[bool]os.FileMode{true: 0o700, false: 0}[os.Geteuid() == 0]
	if err := os.Chmod(base, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(base, 0o700) })
	if mode == 0 {
		harness.Attempt(t, harness.Plan{Args: []string{"--base", base, "--port", "0"}}).Rejects(t, 78, "permission denied; make it readable")
		return
	}
	s := harness.Serve(t, base, "--workers", "2")
	s.Stop(10 * time.Second)
	if text := s.Log.String(); strings.Count(text, "workers cannot read the document root") != 1 || strings.Contains(text, "_redirects") {
		t.Errorf("the log does not have exactly one line about the document root:\n%s", text)
	}
}

// privilegedPort reserves a free port below 1024.
func privilegedPort(t *testing.T) int {
	t.Helper()
	for port := 1023; port > 600; port-- {
		if harness.Reserve(t, port) {
			return port
		}
	}
	t.Fatal("no port below 1024 is free")
	return 0
}

// checkUnprivileged checks in /proc that a worker is not root, has no capabilities and is sandboxed.
func checkUnprivileged(t *testing.T, pid int) {
	t.Helper()
	status := harness.Read(t, fmt.Sprintf("/proc/%d/status", pid))
	for _, want := range []string{`CapPrm:\s0+`, `CapEff:\s0+`, `CapAmb:\s0+`, `NoNewPrivs:\s1`, `Seccomp:\s2`, `Uid:\s[1-9]\d*\s`} {
		if !regexp.MustCompile(`(?m)^` + want + `\s*`).Match(status) {
			t.Errorf("/proc/PID/status does not match %s:\n%s", want, status)
		}
	}
}
