package accesslog

import (
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

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	w := open(t, path, Config{})
	ring, _ := newRing(t, MinRing)
	w.Attach(0, ring)
	write(ring, w.cfg.Doorbell.Out, "one\n")
	systest.Await(t, "one", func() bool { return content(t, path) == "one\n" })
	noError(t, os.Rename(path, path+".1"))
	noError(t, w.reopen())
	write(ring, w.cfg.Doorbell.Out, "two\n")
	systest.Await(t, "two", func() bool { return content(t, path) == "two\n" })

	// If the new file cannot be opened, the old one stays in use.
	noError(t, os.Rename(path, path+".2"))
	noError(t, os.Mkdir(path, 0o700))
	if err := w.reopen(); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("reopened a directory: %v", err)
	}
	write(ring, w.cfg.Doorbell.Out, "three\n")
	closed(t, w)
	if got := content(t, path+".2"); got != "two\nthree\n" {
		t.Errorf("%q", got)
	}
	if err := w.reopen(); err == nil {
		t.Error("reopened after Close")
	}
}

// Close does not wait for long if the file is being reopened on a disk that does not respond.
func TestCloseWhileReopening(t *testing.T) {
	path, w, ring := attached(t, MinRing)
	write(ring, w.cfg.Doorbell.Out, "last\n")
	answer := make(chan struct{})
	w.reopened.Go(func() { <-answer })
	ended := make(chan struct{})
	go func() {
		w.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("Close waits for the disk")
	}
	close(answer)
	<-ended
	if got := content(t, path); got != "last\n" {
		t.Errorf("the log has %q, want the last line", got)
	}
}

// A log without a file keeps lines until there is one, and loses none.
func TestNoFile(t *testing.T) {
	path, w, ring := attached(t, MinRing)
	for _, step := range []struct{ to, line string }{{path, "one\n"}, {"", "two\n"}, {path, "three\n"}} {
		noError(t, w.Use(step.to))
		write(ring, w.cfg.Doorbell.Out, step.line)
		systest.Await(t, step.line, func() bool { a, _ := ring.Readable(); return len(a) == 0 })
	}
	closed(t, w)
	if got := content(t, path); got != "one\nthree\n" || w.Lost() != 0 {
		t.Errorf("%q, %d lines lost", got, w.Lost())
	}
}

// Four workers write while the file is rotated: each line is in one file once, complete,
// and in the order in which its worker wrote it.
func TestRotationLosesNothing(t *testing.T) {
	const workers, each, rotations = 4, 100_000, 20
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	w := open(t, path, Config{})
	var all sync.WaitGroup
	written := make(chan int, workers*each/1000) // one for each thousand lines
	for id := range workers {
		ring, _ := newRing(t, 256<<10)
		w.Attach(id, ring)
		all.Go(func() { produce(ring, w.cfg.Doorbell.Out, id, each, written) })
	}
	var files []string
	for n := 1; n <= workers*each/1000; n++ {
		<-written
		if n%(workers*each/1000/rotations) == 0 {
			rotated := fmt.Sprintf("%s.%02d", path, len(files))
			noError(t, os.Rename(path, rotated))
			noError(t, w.reopen())
			files = append(files, rotated)
		}
	}
	all.Wait()
	closed(t, w)
	if len(files) != rotations {
		t.Fatalf("%d rotations", len(files))
	}
	var next [workers]int
	for _, file := range append(files, path) {
		for line := range strings.Lines(content(t, file)) {
			var id, i int
			if _, err := fmt.Sscanf(line, "%d %d", &id, &i); err != nil || line != numbered(id, i) {
				t.Fatalf("%s: torn line %q", file, line)
			}
			if i != next[id] {
				t.Fatalf("%s: worker %d: line %d, want %d", file, id, i, next[id])
			}
			next[id]++
		}
	}
	if next != [workers]int{each, each, each, each} || w.Lost() != 0 {
		t.Errorf("lines: %v; %d lost", next, w.Lost())
	}
}

func numbered(id, i int) string {
	return fmt.Sprintf("%d %d %s\n", id, i, strings.Repeat("x", i*31%180))
}

// produce writes n lines, no faster than they are read.
func produce(ring *Ring, doorbell, id, n int, thousand chan<- int) {
	for i := range n {
		line := numbered(id, i)
		for ring.Waiting() > 200<<10 {
			runtime.Gosched()
		}
		write(ring, doorbell, line)
		if i%1000 == 999 {
			thousand <- i
		}
	}
}

// The second half of a line is not written to the beginning of another file.
func TestReopenAfterHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	noError(t, unix.Mkfifo(path, 0o600))
	w := open(t, path, Config{})
	ring, _ := newRing(t, 512<<10)
	line := strings.Repeat("z", 200_000) + "\n"
	ring.Write([]byte(line + "next\n"))
	w.Attach(0, ring)
	systest.Await(t, "half a line", func() bool { return ring.Waiting() < len(line) })
	noError(t, os.Rename(path, path+".1"))
	noError(t, w.reopen())
	systest.Await(t, "the new file", func() bool { return content(t, path) == "next\n" })
	if w.Lost() != 1 {
		t.Errorf("%d lines lost", w.Lost())
	}
}
