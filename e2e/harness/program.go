package harness

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Original returns the content of a program under test.
func Original(t *testing.T, name string) []byte {
	t.Helper()
	return Read(t, Binary(name))
}

// Copies copies programs under test to a new directory, where a test may replace
// them.
func Copies(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = OpenDir(t)
	for _, name := range names {
		MustInstall(t, filepath.Join(dir, name), Original(t, name))
	}
	return dir
}

// Install replaces a file atomically.
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

// writeUnforked writes a file that will be executed. A child forked meanwhile by
// another test would have it open for writing until its own exec, and executing
// the file would fail with ETXTBSY.
func writeUnforked(path string, content []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, mode)
}

// MustInstall is Install for an executable; an error fails the test.
func MustInstall(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := Install(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
