package logging

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// Nobody reads: all writes return, and what is too much is counted.
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
		t.Fatal("a pipe took 2 MB that nobody reads")
	}
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	for deadline := time.Now().Add(10 * time.Second); out.Late(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its reader has come, and it still waits")
		}
	}
	out.Close()
	w.Close()
	got := <-read
	var dropped int
	i := strings.Index(got, "phalanx: ")
	if _, err := fmt.Sscanf(got[max(i, 0):], "phalanx: %d log lines dropped", &dropped); err != nil {
		t.Fatalf("no line says what was dropped, in %d bytes: %v", len(got), err)
	}
	if kept := strings.Count(got, line); kept+dropped != writers*lines {
		t.Errorf("%d lines are kept and %d dropped, of %d", kept, dropped, writers*lines)
	}
}

// What nobody has read yet is written by the program that continues.
func TestWriterLeaves(t *testing.T) {
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
	for deadline := time.Now().Add(10 * time.Second); after.Late() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
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

// A writer whose reader never comes back ends all the same.
func TestWriterCloses(t *testing.T) {
	_, w := pipe(t)
	out := NewWriter(w, Auto)
	for range 200 {
		out.Write([]byte(strings.Repeat("x", 999) + "\n"))
	}
	begin := time.Now()
	out.Close()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
