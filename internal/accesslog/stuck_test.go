package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/logging"
	"phalanx/internal/systest"
)

// A stuck reader blocks no worker: rings fill up, lost lines are counted, and when it reads
// again it gets complete lines.
func TestStuckReader(t *testing.T) {
	path, reader := fifo(t)
	w := open(t, path, Config{})
	ring, _ := newRing(t, 64<<10)
	w.Attach(7, ring)
	line := func(i int) string { return fmt.Sprintf("%d %s\n", i, strings.Repeat("y", i%9000)) }
	n, lost := 0, 0
	for ; lost < 100; n++ {
		if !write(ring, w.cfg.Doorbell.Out, line(n)) {
			lost++
		}
		if n%10 == 0 {
			time.Sleep(time.Millisecond) // the Writer fills the pipe meanwhile
		}
	}
	began := time.Now()
	w.Detach(7)
	if err := w.suspend(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "the reader is too slow") {
		t.Errorf("Suspend: %v", err)
	}
	w.Resume()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v with a stuck reader", took)
	}
	if w.Lost() != uint64(lost) {
		t.Errorf("%d lines lost, want %d", w.Lost(), lost)
	}
	w.Attach(7, ring)
	write(ring, w.cfg.Doorbell.Out, "last\n")
	var got bytes.Buffer
	// The detached ring's lines and the last one may come in either order.
	for buf := make([]byte, 8000); bytes.Count(got.Bytes(), []byte("\n")) < n-lost+1; {
		k, err := reader.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:k])
	}
	count := 0
	for text := range strings.Lines(got.String()) {
		var i int
		if fmt.Sscanf(text, "%d", &i); text != line(i) && text != "last\n" {
			t.Fatalf("torn line of %d bytes: %.20q", len(text), text)
		}
		count++
	}
	if count != n-lost+1 || !strings.Contains("\n"+got.String(), "\nlast\n") {
		t.Errorf("%d lines, want %d and the last among them", count, n-lost+1)
	}
}

// Close takes a bounded time. What it could not write is left for the next Writer, also
// the second half of a line.
func TestNextWriterGoesOn(t *testing.T) {
	path, reader := fifo(t)
	long, _ := newRing(t, 512<<10)
	other, _ := newRing(t, MinRing)
	empty, _ := newRing(t, MinRing)
	bell := doorbell(t)
	first := strings.Repeat("z", 200_000) + "\n" // more than a pipe holds
	long.Write([]byte(first))
	w := open(t, path, Config{Doorbell: bell, Lost: 5})
	w.Attach(0, long)
	systest.Await(t, "half a line", func() bool { return long.Waiting() < len(first) })
	other.Write([]byte("other\n"))
	w.Attach(1, other)
	if err := w.reopen(); err != nil { // it is the same FIFO
		t.Fatal(err)
	}
	began := time.Now()
	if err := w.close(20 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "2 lines not written") {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("Close took %v", took)
	}
	if err := w.close(time.Second); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	other.Write(make([]byte, MinRing))
	rings := map[int]*Ring{0: other, 1: long, 2: empty}
	next := New(Config{Doorbell: bell, Lost: w.Lost(), Alert: func(string) {}})
	for id, ring := range rings {
		next.Attach(id, ring)
	}
	noError(t, next.Use(path))
	defer closed(t, next)
	buf := make([]byte, 300_000)
	got := ""
	for !strings.HasSuffix(got, "other\n") {
		n, err := reader.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(buf[:n])
	}
	if got != first+"other\n" {
		t.Errorf("%d bytes", len(got))
	}
	if next.Lost() != 6 {
		t.Errorf("%d lines lost", next.Lost())
	}
}

// Lines of a worker that has exited are lost in an upgrade if its Suspend cannot write them, and are
// counted then.
func TestLeftOfExitedWorkers(t *testing.T) {
	path, _ := fifo(t)
	w := open(t, path, Config{})
	running, _ := newRing(t, MinRing)
	exited, _ := newRing(t, 512<<10)
	running.Write([]byte("line\n"))
	const lines = 300 // more than a pipe holds
	for range lines {
		exited.Write([]byte(strings.Repeat("x", 999) + "\n"))
	}
	w.Attach(0, exited)
	w.Detach(0)
	systest.Await(t, "the first lines", func() bool { return w.Left() < lines })
	if err := w.suspend(20 * time.Millisecond); err == nil {
		t.Fatal("more lines were written than a pipe holds")
	}
	w.Attach(1, running)
	if n := w.Left(); n == 0 || n >= lines || w.Lost() != 0 {
		t.Errorf("%d lines are left of %d, %d lost", n, lines, w.Lost())
	}
	w.Resume()
}

// If the disk does not respond to a Suspend, all lines are written after Resume, once it does.
func TestSuspendOnSilentDisk(t *testing.T) {
	reader, w := onDisk(t, Config{Alert: func(string) {}})
	fd := int(reader.Fd())
	ring, _ := newRing(t, 512<<10)
	const lines = 1000
	line := strings.Repeat("x", 99) + "\n"
	for range lines { // more than the pipe holds
		ring.Write([]byte(line))
	}
	w.Attach(0, ring)
	systest.Await(t, "the first lines", func() bool { n, err := unix.IoctlGetInt(fd, unix.SIOCINQ); return err == nil && n > 0 })
	if err := w.suspend(time.Millisecond); !errors.Is(err, errSilent) {
		t.Errorf("Suspend: %v, want %v", err, errSilent)
	}
	w.Resume()
	write(ring, w.cfg.Doorbell.Out, "last\n")
	read := make(chan string)
	go func() {
		var all strings.Builder
		for buf := make([]byte, 4096); !strings.HasSuffix(all.String(), "last\n"); {
			n, err := reader.Read(buf)
			if err != nil {
				break
			}
			all.Write(buf[:n])
		}
		read <- all.String()
	}()
	select {
	case got := <-read:
		if got != strings.Repeat(line, lines)+"last\n" {
			t.Errorf("%d bytes were written, want %d lines and the last", len(got), lines)
		}
	case <-time.After(time.Minute):
		t.Fatal("what a worker logs after Resume is not written")
	}
	closed(t, w)
}

// onDisk returns a Writer to a disk that responds when something is read.
func onDisk(t *testing.T, cfg Config) (reader *os.File, w *Writer) {
	t.Helper()
	var fds [2]int // a blocking pipe stands for the disk
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	reader = os.NewFile(uintptr(fds[0]), "disk")
	t.Cleanup(func() { reader.Close() })
	if _, err := unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	disk, err := logging.NewOutlet(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	cfg.Doorbell = doorbell(t)
	w = New(cfg)
	w.path, w.wanted, w.out, w.running = "disk", "disk", &outlet{Outlet: disk, name: "disk"}, true
	go w.run()
	return reader, w
}

// A disk that does not respond is a fault and is reported, although the write has not failed.
func TestSilentDiskIsReported(t *testing.T) {
	alerts := make(chan string, 1) // one a minute
	reader, w := onDisk(t, Config{Alert: func(line string) { alerts <- line }, slow: time.Millisecond})
	ring, _ := newRing(t, 64<<10)
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 100 { // more than the pipe holds
		ring.Write(line)
	}
	w.Attach(0, ring)
	const want = "access log: write disk: the disk does not respond; no line is lost yet"
	select {
	case got := <-alerts:
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Fatal("a disk that does not respond is not reported")
	}
	if got := w.Fault(); got != want {
		t.Errorf("fault %q, want %q", got, want)
	}
	if _, err := io.CopyN(io.Discard, reader, 100*100); err != nil {
		t.Fatal(err)
	}
	systest.Await(t, "no fault", func() bool { return w.Fault() == "" })
	closed(t, w)
}

// Lines that are lost while the disk does not respond, after its alert, are reported with that cause once it does.
func TestLostOnSilentDisk(t *testing.T) {
	alerts := make(chan string, 2)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	reader, w := onDisk(t, Config{Alert: func(line string) { alerts <- line }, slow: time.Hour, now: now})
	next := func() string {
		t.Helper()
		select {
		case line := <-alerts:
			return line
		case <-time.After(time.Minute):
			t.Fatal("no alert")
			return ""
		}
	}
	ring, _ := newRing(t, 64<<10)
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 100 { // more than the pipe holds
		ring.Write(line)
	}
	w.Attach(0, ring)
	fd := int(reader.Fd())
	systest.Await(t, "the first lines", func() bool { n, err := unix.IoctlGetInt(fd, unix.SIOCINQ); return err == nil && n > 0 })
	ahead.Add(int64(time.Hour))
	w.silent()
	next()
	for range 2000 { // more than the ring holds
		ring.Write(line)
	}
	ahead.Add(int64(quiet))
	go io.Copy(io.Discard, reader) // ends with the test
	want := "access log: write disk: the disk did not respond for some time; "
	if got := next(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " lines lost so far") {
		t.Errorf("%q, want %q and how many", got, want)
	}
	closed(t, w)
}
