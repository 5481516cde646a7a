package observe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestAdminToken makes requests to an endpoint over TCP with the right token, none and a wrong one, and
// replaces the token. A token that is malformed or readable by others is refused at the start.
func TestAdminToken(t *testing.T) {
	t.Parallel()
	base, dir, addr := harness.Tree(t, map[string]string{"index.html": "front"}), harness.OpenDir(t), harness.Loopback(harness.FreePort(t))
	file, wrong := filepath.Join(dir, "token"), filepath.Join(dir, "wrong")
	put := func(path, text string, mode os.FileMode) {
		t.Helper()
		harness.Write(t, path, []byte(text))
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	put(file, "a secret of 24 characters\n", 0o600)
	put(wrong, "another-secret-altogether\n", 0o600)
	refused := exec.Command(harness.Binary("master"), "--base", base, "--port", "0", "--admin", addr, "--admin-token-file", file)
	if out, err := refused.CombinedOutput(); refused.ProcessState.ExitCode() != 78 || !strings.Contains(string(out), "--admin-token-file "+file+": the token has spaces") {
		t.Errorf("a token with spaces: error %v: %s", err, out)
	}
	put(file, "a-secret-of-some-characters\n", 0o644)
	refused = exec.Command(harness.Binary("master"), "--base", base, "--check", "--admin", addr, "--admin-token-file", file)
	if out, err := refused.CombinedOutput(); refused.ProcessState.ExitCode() != 78 || !strings.Contains(string(out), "it has mode 0644, so others can read or change it; run chmod 600") {
		t.Errorf("a token file that all can read: error %v: %s", err, out)
	}
	put(file, "a-secret-of-some-characters\n", 0o600)
	s := harness.Serve(t, base, "--workers", "1", "--admin", addr, "--admin-token-file", file)
	status := func(words ...string) (string, error) {
		c := exec.Command(harness.Binary("master"), append([]string{"status", "--json", "--admin", addr}, words...)...)
		c.Env = harness.BareEnv()
		out, err := c.CombinedOutput()
		return string(out), err
	}
	for _, words := range [][]string{nil, {"--admin-token-file", file}} {
		if out, err := status(words...); err != nil || !strings.Contains(out, `"state": "serving"`) {
			t.Errorf("status %q: %v: %s", words, err, out)
		}
	}
	const refusal = "the token was refused; give the same --admin-token-file as the server's"
	if out, err := status("--admin-token-file", wrong); err == nil || !strings.Contains(out, refusal) {
		t.Errorf("with the wrong token: error %v: %s", err, out)
	}
	put(file, "another-secret-altogether\n", 0o600)
	s.Signal(syscall.SIGHUP)
	s.AwaitMessages(1, "workers replaced")
	harness.Await(t, 5*time.Second, "a status with the new token", func() bool { _, err := status("--admin-token-file", wrong); return err == nil })
	s.Stop(5 * time.Second)
}

// TestExposedEndpoint listens with the admin endpoint on all addresses without a token: one line warns
// about it at the start, and one after a reload.
func TestExposedEndpoint(t *testing.T) {
	t.Parallel()
	_, port, _ := strings.Cut(harness.Loopback(harness.FreePort(t)), ":")
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "1", "--admin", "0.0.0.0:" + port}})
	const line = "anybody who can reach it sees metrics and status; give --admin-token-file FILE, or use a unix socket"
	warnings := func() int { return strings.Count(s.Log.String(), line) }
	harness.Await(t, 10*time.Second, "the warning", func() bool { return warnings() == 1 })
	s.Signal(syscall.SIGHUP)
	harness.Await(t, 10*time.Second, "the warning after the reload", func() bool { return warnings() == 2 })
	s.Stop(5 * time.Second)
	if n := warnings(); n != 2 {
		t.Errorf("%d warnings, want 2: %s", n, s.Log)
	}
}
