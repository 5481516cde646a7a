package logging

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Buffer collects lines and writes them to a file on demand, without ever waiting for a reader: what one does not take now is kept for
// the next time. When a reader has stalled for so long that the buffer is full,
// further lines are dropped and counted, and the count is logged as soon as
// there is room. It is for one goroutine.
type Buffer struct {
	out     *Outlet
	lines   []byte
	sent    int // bytes of lines that were written
	dropped int

	// Alert tells operators, through this buffer, that lines were dropped; nil: they
	// are not told.
	Alert func(line string)
}

// maxBuffered is how many bytes a buffer holds at most.
const maxBuffered = 1 << 20

// NewBuffer returns a buffer in front of the file, which must stay open.
func NewBuffer(file *os.File) *Buffer {
	out, err := ShareOutlet(file)
	if err != nil {
		out = Discard() // it is closed
	}
	return &Buffer{out: out}
}

// Write adds one or more lines, the last with a newline.
func (b *Buffer) Write(line []byte) (int, error) {
	if len(b.lines)-b.sent+len(line) > maxBuffered {
		b.dropped += bytes.Count(line, []byte{'\n'})
		return len(line), nil
	}
	b.lines = append(b.lines, line...)
	return len(line), nil
}

// Flush writes what was collected, as far as it is taken at once, and reports
// whether something is left.
func (b *Buffer) Flush() (left bool) {
	n, err := b.out.Write(b.lines[b.sent:])
	if b.sent += n; err == unix.EAGAIN {
		b.compact()
		return true
	}
	// After any other error the rest will never be read.
	b.lines, b.sent = b.lines[:0], 0
	if n := b.dropped; n > 0 && b.Alert != nil {
		b.dropped = 0
		b.Alert(fmt.Sprintf("%d log lines dropped; the reader of standard error is too slow", n))
		return true
	}
	return false
}

// compact moves what is left to the start, once that is worth while.
func (b *Buffer) compact() {
	if b.sent > maxBuffered/2 {
		b.lines = b.lines[:copy(b.lines, b.lines[b.sent:])]
		b.sent = 0
	}
}

// Close writes what is left, and gives the reader a moment to take it.
func (b *Buffer) Close() {
	const patience, pause = time.Second, 5 * time.Millisecond
	for waited := time.Duration(0); b.Flush() && waited < patience; waited += pause {
		time.Sleep(pause)
	}
	b.out.Close()
}
