package harness

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// OpenDir returns a new directory, like t.TempDir, that every user can enter.
func OpenDir(t *testing.T) string {
	t.Helper()
	return dirIn(t, dirs.programs)
}

// MemoryDir is OpenDir on tmpfs, where that is possible.
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

// Tree writes files, a map from path to content, to a new directory and returns it.
func Tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := MemoryDir(t)
	for name, content := range files {
		Write(t, filepath.Join(dir, name), []byte(content))
	}
	return dir
}

// Write writes a file, and creates its parent directories.
func Write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Read returns the content of a file.
func Read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Sparse creates a sparse file of size bytes.
func Sparse(t *testing.T, path string, size int64) {
	t.Helper()
	Write(t, path, nil)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// SiteDir returns the directory of the demo site.
func SiteDir(t *testing.T) string {
	t.Helper()
	dir := Repository(t, "site")
	if _, err := os.Stat(filepath.Join(dir, "index.html")); err != nil {
		t.Fatalf("the demo site has no front page: %v", err)
	}
	return dir
}

// Repository returns the path of a file of the repository.
func Repository(t *testing.T, elem ...string) string {
	t.Helper()
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{top}, elem...)...)
}

// FilesOf lists the regular files below a directory as relative slash-separated
// paths.
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
