package smallfile

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(file, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, mode, err := Read(file, 4); string(text) != "four" || mode != 0o600 || err != nil {
		t.Errorf("%q, mode %v, error %v", text, mode, err)
	}
	for _, c := range []struct {
		path string
		most int
		want string
	}{
		{file, 3, "larger than 3 bytes"}, {fifo, 4, "not a regular file"}, {dir, 4, "not a regular file"},
		{dir + "/none", 4, "no such file or directory"},
	} {
		if text, _, err := Read(c.path, c.most); err == nil || err.Error() != c.want {
			t.Errorf("%s, at most %d bytes: %q, error %v, want %q", c.path, c.most, text, err, c.want)
		}
	}
}
