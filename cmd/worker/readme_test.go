package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// asked returns a renderer whose requests to the master are answered by f.
func asked(t *testing.T, f func(socket *os.File)) func([]byte) ([]byte, error) {
	t.Helper()
	master, end, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	defer end.Close()
	own, err := unix.Dup(int(end.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	worker, err := ipc.Open(uintptr(own))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Close() })
	go func() {
		for {
			m, fd, err := master.ReceiveFile()
			if err != nil {
				return
			}
			if _, ok := m.(ipc.Render); !ok || fd < 0 {
				t.Errorf("%T with descriptor %d", m, fd)
				return
			}
			socket := os.NewFile(uintptr(fd), "socket")
			f(socket)
			socket.Close()
		}
	}()
	return renderer(worker)
}

func TestRenderer(t *testing.T) {
	render := asked(t, func(socket *os.File) {
		markdown, err := io.ReadAll(socket)
		if err == nil {
			_, err = socket.Write(bytes.ToUpper(markdown))
		}
		if err != nil {
			t.Error(err)
		}
	})
	for _, text := range []string{"# a", strings.Repeat("b", 64<<10)} {
		if html, err := render([]byte(text)); err != nil || string(html) != strings.ToUpper(text) {
			t.Errorf("%d bytes, %v, want %d", len(html), err, len(text))
		}
	}
}

// Any failure is an error, without a part of a page.
func TestRendererThatFails(t *testing.T) {
	for name, f := range map[string]func(*os.File){
		"cannot":   func(*os.File) {},
		"nothing":  func(s *os.File) { _, _ = io.ReadAll(s) },
		"too much": func(s *os.File) { _, _ = io.ReadAll(s); _, _ = s.Write(make([]byte, maxHTML+1)) },
	} {
		if html, err := asked(t, f)([]byte("# a")); err == nil {
			t.Errorf("%s: %d bytes", name, len(html))
		}
	}
}
