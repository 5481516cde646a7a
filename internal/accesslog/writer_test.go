package accesslog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/internal/systest"

	"golang.org/x/sys/unix"
)

// alerts collects alerts.
type alerts struct {
	mu   sync.Mutex
	text []string
}

func (a *alerts) add(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text = append(a.text, text)
}

func (a *alerts) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.text...)
}

func open(t *testing.T, path string, cfg Config) *Writer {
	t.Helper()
	if cfg.Doorbell == (Doorbell{}) {
		cfg.Doorbell = doorbell(t)
	}
	if cfg.Alert == nil {
		cfg.Alert = func(string) {}
	}
	cfg.slack = time.Minute // the disk responds, but a machine may stand still
	w := New(cfg)
	noError(t, w.Use(path))
	t.Cleanup(func() {
		if err := w.close(time.Second); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Log(err)
		}
	})
	return w
}

// attached returns a writer with a ring, and the file that it writes.
func attached(t *testing.T, size int) (path string, w *Writer, ring *Ring) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	w = open(t, path, Config{})
	ring, _ = newRing(t, size)
	w.Attach(0, ring)
	return path, w, ring
}

// doorbell returns a doorbell that is closed after the writers of a test.
func doorbell(t *testing.T) Doorbell {
	t.Helper()
	bell, err := NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bell.Close)
	return bell
}

// fifo makes a FIFO and opens it for reading.
func fifo(t *testing.T) (path string, reader *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	noError(t, unix.Mkfifo(path, 0o600))
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return path, reader
}

func closed(t *testing.T, w *Writer) {
	t.Helper()
	noError(t, w.close(time.Minute))
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// write writes a line as a worker does.
func write(r *Ring, doorbell int, line string) bool {
	ok := r.Write([]byte(line))
	if r.Due() {
		Wake(doorbell)
	}
	return ok
}

func TestLinesComeWithinASecond(t *testing.T) {
	path, w, ring := attached(t, 512<<10)
	all, late := "", 0
	for soon := 0; soon < 3 && late < 10; { // from asleep, while it gathers, and again; a machine may stand still meanwhile
		want := fmt.Sprintf("line %d %d\n", soon, late)
		began := time.Now()
		write(ring, w.cfg.Doorbell.Out, want)
		systest.Await(t, want, func() bool { return strings.HasSuffix(content(t, path), want) })
		if took := time.Since(began); took > 4*time.Second {
			late++
		} else {
			soon++
		}
		all += want
	}
	if late == 10 {
		t.Error("ten lines took more than 4 s each, want at most a second")
	}
	closed(t, w)
	if got := content(t, path); got != all {
		t.Errorf("%q, want %q", got, all)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o640 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

// A ring that is a quarter full is written at once.
func TestQuarterFullIsWritten(t *testing.T) {
	path, w, ring := attached(t, MinRing)
	line := strings.Repeat("x", 99) + "\n"
	began := time.Now()
	const n = 2000
	for range n {
		for ring.Waiting() > MinRing/2 {
			runtime.Gosched()
		}
		write(ring, w.cfg.Doorbell.Out, line)
	}
	if took := time.Since(began); took > 25*time.Second { // by the half second it would be a minute
		t.Errorf("%d lines took %v", n, took)
	}
	closed(t, w)
	if got := content(t, path); got != strings.Repeat(line, n) || w.Lost() != 0 {
		t.Errorf("%d bytes, %d lost", len(got), w.Lost())
	}
}

// A worker that filled a quarter of its ring before it was asked to ring for that, and
// does not ring again, is noticed.
func TestQuarterFullRingIsNoticed(t *testing.T) {
	ring, _ := newRing(t, MinRing)
	w := &Writer{sources: []*source{{rest: make([]byte, MinRing)}, {ring: ring}}}
	ring.ringAt(1)
	ring.Write(make([]byte, ring.quarter()-1))
	if !ring.Due() || w.filling() {
		t.Error("pressed with less than a quarter")
	}
	ring.Write([]byte("\n"))
	if !w.filling() || !ring.Due() {
		t.Error("not pressed with a quarter")
	}
}

// An idle Writer sleeps until a worker rings, and a worker rings once.
func TestIdleWriterSleeps(t *testing.T) {
	path, w, ring := attached(t, MinRing)
	want, asleep := "x\n", func() bool { return ring.bell.Load() == 1 }
	for systest.Await(t, "asleep", asleep); len(want) < 20 && ring.Write([]byte("x\n")) && !ring.Due(); systest.Await(t, "asleep", asleep) {
		systest.Await(t, want, func() bool { return content(t, path) == want }) // it was only about to sleep
		want += "x\n"
	}
	if ring.Write([]byte("y\n")); ring.Due() {
		t.Error("the second line rings too")
	}
	Wake(w.cfg.Doorbell.Out)
	systest.Await(t, "asleep again", func() bool { return content(t, path) == want+"y\n" && asleep() })
}

// A FIFO without a reader blocks neither the start nor the end.
func TestFIFOWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	noError(t, unix.Mkfifo(path, 0o600))
	w := open(t, path, Config{})
	ring, _ := newRing(t, MinRing)
	w.Attach(0, ring)
	write(ring, w.cfg.Doorbell.Out, "early\n")
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	buf := make([]byte, 100)
	if n, err := reader.Read(buf); string(buf[:n]) != "early\n" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	closed(t, w)
	if n, err := reader.Read(buf); n != 0 {
		t.Errorf("read %d bytes, error %v after the end", n, err)
	}
}

// Rings of workers are attached and detached within one process.
func TestAttachAndDetach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := open(t, path, Config{})
	ring, mem := newRing(t, MinRing)
	ring.Write([]byte("before\n"))
	ring.Write(make([]byte, MinRing))
	w.Attach(1, ring)
	ring.Write([]byte("dying\n"))
	w.Detach(1)
	if ring.Waiting() != 0 {
		t.Errorf("%d bytes wait after Detach", ring.Waiting())
	}
	w.Detach(1)
	clear(mem) // the memory is the next worker's
	ring.Write(make([]byte, MinRing))
	ring.Write([]byte("next\n"))
	w.Attach(1, ring)
	other, _ := newRing(t, MinRing)
	other.Write([]byte("other\n"))
	w.Attach(1, other)
	for range 2 {
		if w.Lost() != 2 {
			t.Errorf("%d lines lost", w.Lost())
		}
	}
	closed(t, w)
	got := content(t, path) // only the lines of one worker have an order
	for _, want := range []string{"before\n", "dying\n", "next\n", "other\n"} {
		if strings.Count(got, want) != 1 || strings.Count(got, "\n") != 4 {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Index(got, "dying") < strings.Index(got, "before") {
		t.Errorf("%q: the lines of one worker are not in order", got)
	}
	if w.Lost() != 2 {
		t.Errorf("%d lines lost", w.Lost())
	}
}

// A hostile worker damages only its own lines.
func TestHostileWorker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := open(t, path, Config{})
	hostile, mem := newRing(t, MinRing)
	sane, _ := newRing(t, MinRing)
	w.Attach(0, hostile)
	w.Attach(1, sane)
	hostile.Write([]byte("no end"))
	sane.Write([]byte("sane\n"))
	w.Detach(0)
	header(mem, 1<<63, 77, 1<<60, 3, 0)
	w.Attach(0, hostile)
	write(hostile, w.cfg.Doorbell.Out, "again\n")
	closed(t, w)
	got := content(t, path)
	for _, want := range []string{"no end\n", "sane\n", "again\n"} {
		if strings.Count(got, want) != 1 || strings.Count(got, "\n") != 3 {
			t.Errorf("%q", got)
		}
	}
	if w.Lost() == 0 || w.Lost() > 10 {
		t.Errorf("%d lines lost", w.Lost())
	}
}

// One line is longer than a batch, and one nearly fills the ring.
func TestLongLines(t *testing.T) {
	path, w, ring := attached(t, 1<<20)
	want := "short\n" + strings.Repeat("a", maxBatch+1000) + "\nshort\n" + strings.Repeat("b", 600_000) + "\n"
	for line := range strings.Lines(want) {
		if !write(ring, w.cfg.Doorbell.Out, line) {
			t.Fatalf("no room for %d bytes", len(line))
		}
	}
	closed(t, w)
	if got := content(t, path); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

// Half a line of a killed master is not joined with the next line.
func TestBeginsOnItsOwnLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	noError(t, os.WriteFile(path, []byte("whole\nhal"), 0o600))
	for range 2 {
		w := open(t, path, Config{})
		ring, _ := newRing(t, MinRing)
		w.Attach(0, ring)
		ring.Write([]byte("line\n"))
		closed(t, w)
	}
	if got := content(t, path); got != "whole\nhal\nline\nline\n" {
		t.Errorf("%q", got)
	}
}
func TestSuspend(t *testing.T) {
	path, w, ring := attached(t, MinRing)
	ring.Write([]byte("one\n"))
	noError(t, w.suspend(20*time.Second))
	if got := content(t, path); got != "one\n" {
		t.Errorf("%q", got)
	}
	write(ring, w.cfg.Doorbell.Out, "two\n")
	Wake(w.cfg.Doorbell.Out)
	time.Sleep(gather + 100*time.Millisecond) // nothing must happen
	if got := content(t, path); got != "one\n" || ring.Waiting() != 4 {
		t.Errorf("%q, %d bytes wait", got, ring.Waiting())
	}
	w.Resume()
	systest.Await(t, "two", func() bool { return content(t, path) == "one\ntwo\n" })
	noError(t, w.suspend(20*time.Second))
	ring.Write([]byte("three\n"))
	closed(t, w)
	if got := content(t, path); got != "one\ntwo\nthree\n" {
		t.Errorf("%q", got)
	}
}

// Without a file nothing waits, and nothing is kept of workers that have exited. A file
// that is opened later gets the lines of the workers that still run.
func TestWithoutFile(t *testing.T) {
	w := New(Config{Doorbell: doorbell(t), Lost: 3, Alert: func(line string) { t.Error(line) }})
	gone, _ := newRing(t, MinRing)
	w.Attach(0, gone)
	w.Detach(0)
	if len(w.sources) != 0 || w.Lost() != 3 {
		t.Errorf("%d sources are kept, %d lines lost", len(w.sources), w.Lost())
	}
	w.Suspend()
	w.Resume()
	w.Reopen()
	w.reopened.Wait()
	ring, _ := newRing(t, MinRing)
	w.Attach(1, ring)
	ring.Write([]byte("line\n"))
	path := filepath.Join(t.TempDir(), "log")
	noError(t, w.Use(path))
	closed(t, w)
	if got := content(t, path); got != "line\n" {
		t.Errorf("the file has %q", got)
	}
	New(Config{}).Close()
}
