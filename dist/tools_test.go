package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMissingTools runs the script that installs what make test needs on a machine that has nothing, where it lists
// the packages. A C compiler is among them: without one, go test refuses -race.
func TestMissingTools(t *testing.T) {
	dir, path := t.TempDir(), t.TempDir()
	for _, name := range []string{"scripts/apt.sh", "scripts/test-tools.sh", "e2e/browser/package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		// Without this line only what is in path is found.
		text = []byte(strings.Replace(string(text), "\nPATH=\"$PATH:/usr/sbin:/sbin\"", "\n:", 1))
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(tool(t, "dirname"), filepath.Join(path, "dirname")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "sh"), filepath.Join(dir, "scripts/test-tools.sh"))
	cmd.Env = []string{"PATH=" + path}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the script failed: %v", err)
	}
	listed, _, found := strings.Cut(string(out), "; install them by hand (apt-get not found)")
	if packages := strings.Fields(listed); !found || !slices.Contains(packages, "gcc") || !slices.Contains(packages, "libc6-dev") || !slices.Contains(packages, "nginx") {
		t.Errorf("output %q, want a list of packages with gcc, libc6-dev and nginx", out)
	}
}

// TestLintWithoutGofmt checks that make lint fails if there is no gofmt, instead of taking all files for formatted.
func TestLintWithoutGofmt(t *testing.T) {
	// Instead of go, echo names a GOROOT that does not exist; with an empty one, /bin/gofmt might be found.
	cmd := exec.Command(tool(t, "make"), "--no-print-directory", "-C", "..", "lint", "GO=echo")
	cmd.Env = []string{"PATH=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "gofmt") {
		t.Errorf("output %q, error %v; want an error about gofmt", out, err)
	}
}
