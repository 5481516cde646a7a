package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// asked makes a renderer render, and returns a socket with the result.
func asked(t *testing.T, r *renderer) *os.File {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.render(os.NewFile(uintptr(pair[1]), "renderer's end"))
	socket := os.NewFile(uintptr(pair[0]), "worker's end")
	t.Cleanup(func() { socket.Close() })
	return socket
}

// An upgrade leaves no rendering process behind. If it fails, others are started.
func TestRendererIsSuspended(t *testing.T) {
	r := newRenderer("")
	defer r.close()
	r.path = filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(r.path, []byte("#!/bin/sh\nprintf x\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		socket := asked(t, r)
		started := make([]byte, 1)
		if _, err := io.ReadFull(socket, started); err != nil {
			t.Fatalf("the renderer is not started: %v", err)
		}
		r.suspend()
		if more, err := io.ReadAll(socket); err != nil || len(more) > 0 {
			t.Errorf("%q, %v", more, err)
		}
		r.resume()
	}
}
