package logging

import (
	"bytes"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
)

// Buffer collects lines and writes them to a file on demand, without ever waiting for a
// reader: bytes that it does not accept now are kept for the next time. When the buffer or
// the disk is full, further lines are dropped and counted, and the count is logged as soon as
// there is room. It is not safe for concurrent use.
type Buffer struct {
	out     *Outlet
	lines   []byte
	sent    int // bytes of lines that were written
	dropped int
	alerted int       // dropped lines that the first line reports; 0: it is another line
	stuck   time.Time // since when the file has accepted nothing; zero: it accepts lines

	// Alert writes to this buffer that lines were dropped; nil: nothing is written.
	Alert func(line string)
}

// maxBuffered is the maximum number of bytes in a buffer.
const maxBuffered = 1 << 20

// leastRetry and mostRetry are the limits of [Buffer.Retry].
const leastRetry, mostRetry = 10 * time.Millisecond, 250 * time.Millisecond

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
		if n > 0 || b.stuck.IsZero() {
			b.stuck = time.Now()
		}
		b.compact()
		return true
	}
	b.stuck = time.Time{}
	if err != nil {
		b.lose()
		return false
	}
	b.lines, b.sent, b.alerted = b.lines[:0], 0, 0
	if n := b.dropped; n > 0 && b.Alert != nil {
		b.dropped, b.alerted = 0, n
		b.Alert(human.Plural(n, "log line", "log lines") + " dropped; the disk of standard error was full, or its reader too slow")
		return true
	}
	return false
}

// FlushRetry flushes the buffer, and returns when to do it again; 0: nothing is left.
func (b *Buffer) FlushRetry() time.Duration {
	if !b.Flush() {
		return 0
	}
	return b.Retry()
}

// Retry returns how long to wait before the next Flush while something is left: longer if the
// reader has not read for a while, such as a pager or a terminal that was stopped.
func (b *Buffer) Retry() time.Duration {
	if b.stuck.IsZero() {
		return leastRetry
	}
	return min(max(leastRetry, time.Since(b.stuck)/4), mostRetry)
}

// lose drops what the file does not accept, because its disk is full or its reader gone. If the
// file ends with half a line, a newline is kept for it.
func (b *Buffer) lose() {
	rest := b.lines[b.sent:]
	b.dropped += bytes.Count(rest, []byte{'\n'})
	half := b.sent > 0 && b.lines[b.sent-1] != '\n'
	if b.sent == 0 && bytes.HasPrefix(rest, []byte{'\n'}) { // it was kept before
		half = true
		b.dropped--
	}
	if b.alerted > 0 && !bytes.Contains(b.lines[:b.sent], []byte{'\n'}) {
		b.dropped += b.alerted - 1 // the report itself is lost
	}
	b.lines, b.sent, b.alerted = b.lines[:0], 0, 0
	if half {
		b.lines = append(b.lines, '\n')
	}
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
	const limit, pause = time.Second, 5 * time.Millisecond
	for waited := time.Duration(0); b.Flush() && waited < limit; waited += pause {
		time.Sleep(pause)
	}
	b.out.Close()
}
