package logging

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Without a reader all writes return, and dropped lines are counted.
func TestWriterNeverWaits(t *testing.T) {
	r, w := pipe(t)
	out := NewWriter(w, Auto)
	line := strings.Repeat("x", 999) + "\n"
	const writers, lines = 4, 500
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range lines {
				out.Write([]byte(line))
			}
		})
	}
	all.Wait()
	if !out.Late() {
		t.Fatal("a pipe accepted 2 MB that nobody reads")
	}
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	for deadline := time.Now().Add(time.Minute); out.Late(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the writer still waits although there is a reader")
		}
	}
	out.Close()
	w.Close()
	got := <-read
	_, report, _ := strings.Cut(got, "phalanx: ")
	dropped := reported(t, report)
	if kept := strings.Count(got, line); kept+dropped != writers*lines {
		t.Errorf("%d lines are kept and %d dropped, of %d", kept, dropped, writers*lines)
	}
}

// While nobody reads, a writer, and a loop with a buffer, try a few times a second. Once there is a reader, they
// do not pause any longer.
func TestRetriesAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := pipe(t)
		b := NewBuffer(w)
		b.Write([]byte(strings.Repeat(strings.Repeat("x", 999)+"\n", 500)))
		began, tries := time.Now(), 0
		for ; time.Since(began) < 10*time.Second; tries++ {
			retry := b.FlushRetry()
			if retry < leastRetry {
				t.Fatalf("a retry after %v", retry)
			}
			time.Sleep(retry)
		}
		if tries > 70 {
			t.Errorf("%d attempts in 10 s without a reader, want at most 70", tries)
		}
		if _, err := io.ReadFull(r, make([]byte, 8<<10)); err != nil {
			t.Fatal(err)
		}
		if retry := b.FlushRetry(); retry != leastRetry {
			t.Errorf("the next attempt follows after %v although there is a reader, want %v", retry, leastRetry)
		}
	})
}

// After an upgrade the new program writes lines that were not read yet.
func TestUnreadLinesAreLeft(t *testing.T) {
	r, w := pipe(t)
	before, after := NewWriter(w, Auto), NewWriter(w, Auto)
	line := strings.Repeat("x", 999) + "\n"
	const lines = 1200
	for range lines {
		before.Write([]byte(line))
	}
	unwritten, dropped, resume := before.Leave()
	after.Continue(unwritten, dropped)
	before.buffer.lines = nil
	resume()
	after.Write([]byte("last\n")) // there is room for that
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	for deadline := time.Now().Add(time.Minute); after.Late() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	before.Close()
	after.Close()
	w.Close()
	got := <-read
	kept := strings.Count(got, line)
	if want := fmt.Sprintf("phalanx: %d log lines dropped; ", lines-kept); kept < 1000 || dropped == 0 || !strings.Contains(got, want) {
		t.Errorf("%d lines are kept and %d were dropped; no %q", kept, dropped, want)
	}
}

// A writer stops even if its reader never reads again.
func TestWriterCloses(t *testing.T) {
	_, w := pipe(t)
	out := NewWriter(w, Auto)
	for range 200 {
		out.Write([]byte(strings.Repeat("x", 999) + "\n"))
	}
	begin := time.Now()
	out.Close()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the end took %v", took)
	}
}
