package harness

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Original is the content of one of the programs under test.
func Original(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(Binary(name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Copies puts programs under test into a directory where a test may replace
// them.
func Copies(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = OpenDir(t)
	for _, name := range names {
		MustInstall(t, filepath.Join(dir, name), Original(t, name))
	}
	return dir
}

// Install puts a file in the place of another, at once.
func Install(path string, content []byte, mode os.FileMode) error {
	next := path + ".next"
	if err := writeUnforked(next, content, mode); err != nil {
		return err
	}
	if err := os.Chmod(next, mode); err != nil { // whatever the umask is
		return err
	}
	return os.Rename(next, path)
}

// writeUnforked writes a file that is to be executed. A child that another test
// forks meanwhile would have it open for writing until it executes its own
// program, and nobody can execute it as long (ETXTBSY).
func writeUnforked(path string, content []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, mode)
}

// MustInstall is Install for a program that a test depends on.
func MustInstall(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := Install(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
