package logging

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Buffer collects lines and writes them to a file on demand, without ever waiting for a
// reader: bytes that it does not accept now are kept for the next time. When the buffer is
// full, further lines are dropped and counted, and the count is logged as soon as there is
// room. It is not safe for concurrent use.
type Buffer struct {
	out     *Outlet
	lines   []byte
	sent    int // bytes of lines that were written
	dropped int

	// Alert writes to this buffer that lines were dropped; nil: nothing is written.
	Alert func(line string)
}

// maxBuffered is the maximum number of bytes in a buffer.
const maxBuffered = 1 << 20

// NewBuffer returns a buffer in front of the file, which must stay open.
func NewBuffer(file *os.File) *Buffer {
	out, err := ShareOutlet(file)
	if err != nil {
		out = Discard() // the file is closed
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

// Flush writes as much as the file accepts without waiting, and reports whether something
// is left.
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

// compact moves the unwritten bytes to the start once half of the buffer has been written.
func (b *Buffer) compact() {
	if b.sent > maxBuffered/2 {
		b.lines = b.lines[:copy(b.lines, b.lines[b.sent:])]
		b.sent = 0
	}
}

// Close writes what is left, for at most a second.
func (b *Buffer) Close() {
	const patience, pause = time.Second, 5 * time.Millisecond
	for waited := time.Duration(0); b.Flush() && waited < patience; waited += pause {
		time.Sleep(pause)
	}
	b.out.Close()
}
