package logging

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBufferIntoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := NewBuffer(int(f.Fd()))
	line := strings.Repeat("x", 1000) + "\n"
	for range 100 {
		b.Write([]byte(line))
	}
	if got, _ := os.ReadFile(path); len(got) != 0 {
		t.Fatalf("%d bytes are written before Flush", len(got))
	}
	b.Flush()
	if got, _ := os.ReadFile(path); string(got) != strings.Repeat(line, 100) {
		t.Errorf("the file has %d bytes", len(got))
	}
}

// A reader that stalls costs lines, never time; what it missed is counted,
// and what it gets are whole lines.
func TestBufferWithStalledReader(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "r"), fds[1]
	defer r.Close()
	b := NewBuffer(w)
	noted := 0
	b.Note = func(n int) {
		noted += n
		b.Write([]byte("note\n"))
	}
	line := strings.Repeat("y", 99) + "\n"
	const lines = 5000 // 500 KB, more than a pipe holds
	for range lines {
		b.Write([]byte(line))
	}
	b.Flush()
	got := drain(t, r)
	kept := strings.Count(got, line)
	if kept == 0 || kept >= lines || len(got) != kept*len(line) {
		t.Fatalf("%d lines of %d arrived, in %d bytes", kept, lines, len(got))
	}
	b.Write([]byte("after\n"))
	b.Flush()
	if got := drain(t, r); got != "after\nnote\n" || noted != lines-kept {
		t.Errorf("then %q arrived; %d dropped lines were noted, not %d", got, noted, lines-kept)
	}
	unix.Close(w)
}

// drain reads what is in the pipe now.
func drain(t *testing.T, r *os.File) string {
	t.Helper()
	var all bytes.Buffer
	p := make([]byte, 64<<10)
	for {
		poll := []unix.PollFd{{Fd: int32(r.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 0); err != nil || n == 0 {
			return all.String()
		}
		n, err := unix.Read(int(r.Fd()), p)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(p[:n])
	}
}

func TestBufferIsBounded(t *testing.T) {
	b := NewBuffer(-1)
	for range 2 * maxBuffered / 100 {
		b.Write(make([]byte, 100))
	}
	if len(b.lines) > maxBuffered || b.dropped == 0 {
		t.Errorf("%d bytes are held, %d lines dropped", len(b.lines), b.dropped)
	}
}
