package logging

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Buffer collects lines and writes them to a descriptor when it is told to,
// without ever waiting for a reader: what one does not take now is kept for
// the next time. When a reader has stalled for so long that the buffer is full,
// further lines are dropped and counted, and the count is logged as soon as
// there is room. It is for one goroutine.
type Buffer struct {
	file    *os.File // kept, for it would close its descriptor if it were collected
	fd      int
	kind    outlet
	lines   []byte
	sent    int // bytes of lines that were written
	dropped int

	// Note logs, through this buffer, how many lines were dropped.
	Note func(dropped int)
}

// outlet is what a descriptor leads to.
type outlet uint8

const (
	outletFile  outlet = iota // never waits for a reader
	outletOwn                 // opened anew for this buffer, so that it does not block
	outletPipe                // whole writes of up to maxLine bytes, or EAGAIN with RWF_NOWAIT
	outletOther               // a socket, say: asked with poll(2) first
)

// maxBuffered is how many bytes a buffer holds at most.
const maxBuffered = 1 << 20

// NewBuffer returns a buffer in front of the file, which must stay open.
func NewBuffer(file *os.File) *Buffer {
	b := &Buffer{file: file, fd: -1, kind: outletOther}
	if raw, err := file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { b.fd = int(fd) })
	}
	var st unix.Stat_t
	if unix.Fstat(b.fd, &st) == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b.kind = outletFile
		case unix.S_IFIFO:
			b.kind = outletPipe
			b.reopen()
		case unix.S_IFCHR:
			b.reopen()
		}
	}
	return b
}

// reopen opens a terminal or a pipe once more, not to block: switching the
// descriptor that was handed over would switch it for everybody who shares it.
// It may not be allowed (somebody else's pipe); then the other ways must do.
func (b *Buffer) reopen() {
	path := "/proc/self/fd/" + strconv.Itoa(b.fd)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		b.fd, b.kind = fd, outletOwn
	}
}

// Write adds a line, which ends with a newline.
func (b *Buffer) Write(line []byte) (int, error) {
	if len(b.lines)-b.sent+len(line) > maxBuffered {
		b.dropped++
		return len(line), nil
	}
	b.lines = append(b.lines, line...)
	return len(line), nil
}

// Flush writes what was collected, as far as it is taken at once, and reports
// whether something is left.
func (b *Buffer) Flush() (left bool) {
	for b.sent < len(b.lines) {
		rest := b.lines[b.sent:]
		n, err := b.write(rest[:b.piece(rest)])
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			b.compact()
			return true
		}
		if err != nil {
			break // nobody will ever read it
		}
		b.sent += n
	}
	b.lines, b.sent = b.lines[:0], 0
	if n := b.dropped; n > 0 && b.Note != nil {
		b.dropped = 0
		b.Note(n)
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
	if b.kind == outletOwn {
		unix.Close(b.fd)
	}
}

// piece returns how many bytes to write at once: all into a file, and
// elsewhere as many whole lines as the kernel keeps together.
func (b *Buffer) piece(lines []byte) int {
	if b.kind == outletFile || len(lines) <= maxLine {
		return len(lines)
	}
	if i := bytes.LastIndexByte(lines[:maxLine], '\n'); i >= 0 {
		return i + 1
	}
	return maxLine
}

// write writes p without waiting.
func (b *Buffer) write(p []byte) (int, error) {
	switch b.kind {
	case outletFile, outletOwn:
		return unix.Write(b.fd, p)
	case outletPipe:
		n, err := unix.Pwritev2(b.fd, [][]byte{p}, -1, unix.RWF_NOWAIT)
		if err != unix.EOPNOTSUPP && err != unix.EINVAL {
			return n, err
		}
		b.kind = outletOther // before Linux 5.16, say
	}
	poll := []unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(poll, 0); err != nil || n == 0 || poll[0].Revents&unix.POLLOUT == 0 {
		return 0, unix.EAGAIN
	}
	return unix.Write(b.fd, p)
}
