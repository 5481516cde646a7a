package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPostinstall runs the script of the package as when an image is built: systemd is installed, but not running.
// Versions before 253 need other settings, those after an update must not keep them.
func TestPostinstall(t *testing.T) {
	text, err := os.ReadFile("package/postinstall.sh")
	if err != nil {
		t.Fatal(err)
	}
	units, tools := t.TempDir(), t.TempDir()
	script := strings.NewReplacer("/usr/lib/systemd/system", units, "/run/systemd/system", filepath.Join(units, "none")).Replace(string(text))
	older := filepath.Join(units, "phalanx.service.d/older.conf")
	for _, tt := range []struct{ version, want string }{
		{"252 (252.39-1~deb12u1)", "[Service]\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\n"},
		{"257 (257.13-1~deb13u1)", ""},
	} {
		for name, commands := range map[string]string{"getent": "", "rc-service": "exit 1", "systemctl": "echo 'systemd " + tt.version + "'; echo +PAM"} {
			if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+commands+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd %s: output %q, error %v", tt.version, out, err)
		}
		if got, err := os.ReadFile(older); string(got) != tt.want || tt.want == "" && !os.IsNotExist(err) {
			t.Errorf("systemd %s: older.conf is %q, error %v; want %q", tt.version, got, err, tt.want)
		}
	}
}
