package ipc

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Both sides read the same bytes, any number of times, and neither can change them.
func TestSealed(t *testing.T) {
	for _, want := range [][]byte{{}, []byte("content"), bytes.Repeat([]byte("0123456789"), 100_000)} {
		file, err := Sealed("test", want)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for range 2 {
			got, err := ReadSealed(int(file.Fd()), int64(len(want)))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
			}
		}
		if _, err := ReadSealed(int(file.Fd()), int64(len(want))-1); err == nil {
			t.Error("too large a file was read")
		}
		if _, err := file.WriteAt([]byte("x"), 0); err == nil {
			t.Error("a sealed file was written to")
		}
		if err := file.Truncate(1 << 10); err == nil {
			t.Error("a sealed file has grown")
		}
	}
}

func TestReadUnsealed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := ReadSealed(int(file.Fd()), 100); err == nil {
		t.Error("a file that can change was read")
	}
	if _, err := ReadSealed(-1, 100); err == nil {
		t.Error("a descriptor that is not a file was read")
	}
}
