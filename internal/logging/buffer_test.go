package logging

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
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
	b := NewBuffer(f)
	line := strings.Repeat("x", 1000) + "\n"
	for range 100 {
		b.Write([]byte(line))
	}
	if got, _ := os.ReadFile(path); len(got) != 0 {
		t.Fatalf("%d bytes are written before Flush, want none", len(got))
	}
	b.Flush()
	if got, _ := os.ReadFile(path); string(got) != strings.Repeat(line, 100) {
		t.Errorf("the file has %d bytes", len(got))
	}
}

// A stalled reader causes no delay. Lines that it does not read are kept, and beyond the
// limit dropped and counted. It gets complete lines, in order.
func TestBufferWithStalledReader(t *testing.T) {
	r, w := pipe(t)
	b := NewBuffer(w)
	noted := 0
	b.Alert = func(line string) {
		noted += reported(t, line)
		b.Write([]byte("note\n"))
	}
	line := strings.Repeat("y", 99) + "\n"
	const lines = 2 * maxBuffered / 100
	for range lines {
		b.Write([]byte(line))
		b.Flush()
	}
	if !b.Flush() {
		t.Fatal("nothing is left although nobody has read")
	}
	var got strings.Builder
	for left := true; left; {
		got.WriteString(drain(t, r))
		left = b.Flush()
	}
	got.WriteString(drain(t, r))
	kept := strings.Count(got.String(), line)
	if want := strings.Repeat(line, kept) + "note\n"; got.String() != want || noted == 0 || kept+noted != lines {
		t.Errorf("%d lines of %d arrived in %d bytes; %d dropped lines were noted", kept, lines, got.Len(), noted)
	}
}

// A reader that is only slightly late misses nothing, also at the end.
func TestBufferWithSlowReader(t *testing.T) {
	r, w := pipe(t)
	b := NewBuffer(w)
	line := strings.Repeat("z", 99) + "\n"
	const lines = 5000 // 500 KB, more than a pipe holds
	for range lines {
		b.Write([]byte(line))
	}
	b.Flush()
	done := make(chan int)
	go func() {
		all, _ := io.ReadAll(r)
		done <- strings.Count(string(all), line)
	}()
	b.Close()
	w.Close()
	if n := <-done; n != lines {
		t.Errorf("%d lines of %d arrived", n, lines)
	}
}

// diskBuffer returns a buffer that writes to a file, and the outlet of a full disk.
func diskBuffer(t *testing.T) (b *Buffer, path string, full *Outlet) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	if full, err = ShareOutlet(device); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(full.Close)
	return NewBuffer(f), path, full
}

// On a full disk lines are dropped and counted. Half a line at the end of the file is ended
// before the next line.
func TestBufferOnFullDisk(t *testing.T) {
	b, path, full := diskBuffer(t)
	alert := ""
	b.Alert = func(line string) { alert = line }
	disk := b.out
	b.out = full
	b.Write([]byte("first\nsecond\n"))
	const room = "first\nsec" // as much as the disk had room for
	if err := os.WriteFile(path, []byte(room), 0o600); err != nil {
		t.Fatal(err)
	}
	b.sent = len(room)
	for range 2 {
		if b.Flush() {
			t.Error("something is left for a disk that is full")
		}
		b.Write([]byte("next\n"))
	}
	b.out = disk
	b.Flush()
	got, err := os.ReadFile(path)
	if want := "first\nsec\nnext\n"; err != nil || string(got) != want || !strings.HasPrefix(alert, "2 log lines dropped; ") {
		t.Errorf("the file has %q, %v, want %q; reported %q, want 2 lines dropped", got, err, want, alert)
	}
}

// One dropped line is reported in the singular.
func TestBufferReportsOneLine(t *testing.T) {
	b, _, full := diskBuffer(t)
	alert := ""
	b.Alert = func(line string) { alert = line }
	disk := b.out
	b.out = full
	b.Write([]byte("lost\n"))
	b.Flush()
	b.out = disk
	b.Write([]byte("next\n"))
	b.Flush()
	if !strings.HasPrefix(alert, "1 log line dropped; ") {
		t.Errorf("reported %q, want 1 log line dropped", alert)
	}
}

// reported returns the number of dropped lines, 2 or more, that a report begins with.
func reported(t *testing.T, report string) int {
	t.Helper()
	number, _, found := strings.Cut(report, " log lines dropped; ")
	n, err := strconv.Atoi(strings.ReplaceAll(number, ",", ""))
	if !found || err != nil {
		t.Errorf("%.200q does not say how many lines were dropped", report)
	}
	return n
}

// A report of dropped lines that the disk refuses too is repeated with their number.
func TestBufferReportsAgain(t *testing.T) {
	b, path, full := diskBuffer(t)
	b.Alert = func(line string) { b.Write([]byte(line + "\n")) }
	disk := b.out
	b.out = full
	b.Write([]byte("a\nb\nc\n"))
	b.Flush()
	b.out = disk // there is room for a line only
	b.Write([]byte("d\n"))
	b.Flush()
	b.out = full
	b.Flush()
	b.out = disk
	b.Write([]byte("e\n"))
	for b.Flush() {
	}
	got, err := os.ReadFile(path)
	if text, found := strings.CutPrefix(string(got), "d\ne\n3 log lines dropped; "); err != nil || !found || strings.Count(text, "\n") != 1 {
		t.Errorf("the file has %q, error %v; want the number of lines dropped", got, err)
	}
}

// pipe returns the ends of a pipe.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// drain reads everything that is in the pipe.
func drain(t *testing.T, r *os.File) string {
	t.Helper()
	var all bytes.Buffer
	p := make([]byte, 64<<10)
	for {
		if n, err := unix.IoctlGetInt(int(r.Fd()), unix.SIOCINQ); err != nil || n == 0 {
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
	_, w := pipe(t)
	b := NewBuffer(w)
	for range 2 * maxBuffered / 100 {
		b.Write(append(make([]byte, 99), '\n'))
	}
	if len(b.lines) > maxBuffered || b.dropped == 0 {
		t.Errorf("%d bytes are held, %d lines dropped", len(b.lines), b.dropped)
	}
}
