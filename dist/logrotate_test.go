package dist

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestLogrotate runs what logrotate runs after it has renamed the access log: the master has to be told, by systemd's
// pid of it or by OpenRC.
func TestLogrotate(t *testing.T) {
	text, err := os.ReadFile("phalanx.logrotate")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(text), "postrotate\n")
	script, _, found := strings.Cut(script, "endscript")
	if !found {
		t.Fatalf("no postrotate script in\n%s", text)
	}
	master := exec.Command("sleep", "60") // SIGUSR1 ends it
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	defer master.Process.Kill()
	notBooted := "echo 'System has not been booted with systemd' >&2; exit 1"
	for _, tt := range []struct{ name, systemctl, openrc, want string }{
		{"stopped", "echo 0", "", ""},
		{"unknown", "echo", "", ""},
		{"neither", "", "", ""},
		{"OpenRC", "", "echo \"$@\"", "--quiet --ifstarted phalanx reopen\n"},
		{"OpenRC beside systemd's tools", notBooted, "echo \"$@\"", "--quiet --ifstarted phalanx reopen\n"},
		{"systemd", "echo " + strconv.Itoa(master.Process.Pid), "", ""},
	} {
		dir := t.TempDir()
		for name, does := range map[string]string{"systemctl": tt.systemctl, "rc-service": tt.openrc} {
			if does != "" {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+does+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Env = []string{"PATH=" + dir}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != tt.want {
			t.Errorf("%s: output %q, error %v; want %q", tt.name, out, err, tt.want)
		}
	}
	var exit *exec.ExitError
	if err := master.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGUSR1 {
		t.Errorf("the master ended with %v, want SIGUSR1", err)
	}
}
