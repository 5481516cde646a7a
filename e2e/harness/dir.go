package harness

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// OpenDir is a t.TempDir that every user can enter.
func OpenDir(t *testing.T) string {
	t.Helper()
	return dirIn(t, dirs.programs)
}

// MemoryDir is an OpenDir in memory, where that is possible.
func MemoryDir(t *testing.T) string {
	t.Helper()
	return dirIn(t, dirs.memory)
}

func dirIn(t *testing.T, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "dir-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Tree writes files, path to content, into a new directory.
func Tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := MemoryDir(t)
	for name, content := range files {
		Write(t, filepath.Join(dir, name), []byte(content))
	}
	return dir
}

// Write makes a file, and the directories above it.
func Write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sparse makes a file of any size that takes no room on the disk.
func Sparse(t *testing.T, path string, size int64) {
	t.Helper()
	Write(t, path, nil)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// SiteDir is the demo site of the repository.
func SiteDir(t *testing.T) string {
	t.Helper()
	dir := Repository(t, "site")
	if _, err := os.Stat(filepath.Join(dir, "index.html")); err != nil {
		t.Fatalf("the demo site has no front page: %v", err)
	}
	return dir
}

// Repository is the path of a file of the repository.
func Repository(t *testing.T, elem ...string) string {
	t.Helper()
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{top}, elem...)...)
}

// FilesOf lists the regular files beneath a directory, by slash path.
func FilesOf(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
