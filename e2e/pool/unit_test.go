package pool

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestUnitSystemCallFilter runs a server through a reload, a rescue and an upgrade, and checks that the
// systemd unit's filter admits every system call that it makes.
func TestUnitSystemCallFilter(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "calls")
	s := harness.ServeAs(t, harness.Plan{
		Before: []string{harness.Tool(t, "apt-get install strace", "strace"), "-f", "-qq", "-o", out},
		Args:   append(harness.Verbosely(harness.Tree(t, map[string]string{"index.html": "front"})), "--workers", "2"),
	})
	master := harness.ChildrenOf(s.PID())[0]
	client := s.Dial()
	s.MustAsk(client, harness.Request("GET", "/"))
	for _, worker := range harness.WorkersOf(master) {
		harness.Kill(t, worker, syscall.SIGKILL)
	}
	s.Log.Await(t, 30*time.Second, "a rescue", s.Exited, func(all []harness.Event) bool {
		return strings.Contains(s.Log.String(), "rescued 1 connection")
	})
	s.MustAsk(client, harness.Request("GET", "/"))
	for _, order := range []struct {
		signal syscall.Signal
		done   string
	}{{syscall.SIGHUP, "workers replaced"}, {syscall.SIGUSR2, "master upgraded"}} {
		harness.Kill(t, master, order.signal)
		s.AwaitMessages(1, order.done)
	}
	harness.Kill(t, master, syscall.SIGINT)
	s.Wait(harness.ClientTimeout)
	text := harness.Read(t, out)
	admitted := admittedByUnit(t)
	// The unit's master does not run as root: its workers neither change their user nor drop
	// capabilities (TestUnprivileged).
	seen := map[string]bool{"setgroups": true, "setresgid": true, "setresuid": true, "capset": true}
	for _, m := range regexp.MustCompile(`(?m)^\d+ +(\w+)\(`).FindAllStringSubmatch(string(text), -1) {
		if call := m[1]; !seen[call] {
			seen[call] = true
			if !admitted[call] {
				t.Errorf("dist/phalanx.service does not admit %s", call)
			}
		}
	}
	if !seen["sendmsg"] || !seen["execve"] {
		t.Errorf("the trace is incomplete: %d different calls", len(seen))
	}
}

// TestUnitExposure bounds the exposure level that systemd-analyze gives the unit. What remains are the
// network and, without a socket unit, ports below 1024.
func TestUnitExposure(t *testing.T) {
	t.Parallel()
	unit := harness.Read(t, filepath.Join("..", "..", "dist", "phalanx.service"))
	exposed(t, string(unit), 1.4)
	service, install, _ := strings.Cut(string(unit), "[Install]")
	for name, most := range map[string]float64{"socket": 1.1, "log": 1.4} {
		dropIn := harness.Snippet(t, "docs/systemd.md", "# /etc/systemd/system/phalanx.service.d/"+name+".conf")
		exposed(t, service+dropIn+"\n[Install]"+install, most)
	}
}

// exposed checks the exposure level of a service unit.
func exposed(t *testing.T, unit string, most float64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "phalanx.service")
	harness.Write(t, path, []byte(unit))
	analyze := harness.Tool(t, "apt-get install systemd", "systemd-analyze")
	text, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", path).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for phalanx\.service: ([0-9.]+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%v: %s", err, text)
	}
	if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > most {
		t.Errorf("exposure level %s, want at most %v: %s", m[1], most, text)
	}
}

// admittedByUnit returns the system calls that the unit's filter admits.
func admittedByUnit(t *testing.T) map[string]bool {
	t.Helper()
	unit := harness.Read(t, filepath.Join("..", "..", "dist", "phalanx.service"))
	admitted := map[string]bool{}
	for line := range strings.Lines(string(unit)) {
		filter, ok := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter=")
		if !ok {
			continue
		}
		filter, denied := strings.CutPrefix(filter, "~")
		for _, name := range strings.Fields(filter) {
			name, _, _ = strings.Cut(name, ":") // it may be followed by an error
			for _, call := range expand(t, name) {
				admitted[call] = !denied
			}
		}
	}
	return admitted
}

// expand returns the calls in one of systemd's sets, or the call itself.
func expand(t *testing.T, name string) []string {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	analyze := harness.Tool(t, "apt-get install systemd", "systemd-analyze")
	text, err := exec.Command(analyze, "syscall-filter", name).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze syscall-filter %s: %v: %s", name, err, text)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line != name && !strings.HasPrefix(line, "#") {
			all = append(all, expand(t, line)...)
		}
	}
	return all
}
