package unixsocket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A file is removed only if it is a socket to which nobody listens.
func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string) *net.UnixListener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		t.Cleanup(func() { l.Close() })
		return l
	}
	listen("listening")
	listen("stale").Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"listening": ErrInUse, "stale": nil, "file": ErrNoSocket, "none": nil} {
		path := filepath.Join(dir, name)
		_, before := os.Lstat(path)
		if err := RemoveStale(path); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if _, after := os.Lstat(path); after != nil && want != nil || after == nil && want == nil {
			t.Errorf("%s: before %v, after %v", name, before, after)
		}
	}
	if err := RemoveStale(filepath.Join(dir, "none", "socket")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
}
