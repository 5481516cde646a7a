package logging

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Outlet is an open file, pipe, socket or device that lines are written to without ever
// waiting for a reader. It is not safe for concurrent use.
type Outlet struct {
	Stat unix.Stat_t // of the open file

	fd   int
	kind outletKind
	file *os.File // not owned; kept because its finalizer would close the descriptor
}

type outletKind uint8

const (
	toFile    outletKind = iota // a regular file: has no reader to wait for
	toStream                    // a pipe or a device, opened with O_NONBLOCK
	toSocket                    // written with MSG_DONTWAIT
	toShared                    // a blocking pipe of others: written with RWF_NOWAIT
	toPolled                    // the same without RWF_NOWAIT: written after poll(2)
	toNothing                   // discards everything
)

// Discard returns an outlet that discards everything. It needs no /dev/null, which a root
// directory may lack.
func Discard() *Outlet { return &Outlet{fd: -1, kind: toNothing} }

// NewOutlet returns an outlet for a descriptor that was opened with O_NONBLOCK. It owns the
// descriptor, and closes it on an error.
func NewOutlet(fd int) (*Outlet, error) {
	o := &Outlet{fd: fd}
	if err := o.stat(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return o, nil
}

// ShareOutlet returns an outlet to a file that others write to as well. Making its
// descriptor non-blocking would affect all of them, so a pipe or a terminal is opened
// again; where that is not permitted, it falls back to RWF_NOWAIT or poll(2).
func ShareOutlet(file *os.File) (*Outlet, error) {
	o := &Outlet{file: file}
	raw, err := file.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { o.fd = int(fd) })
	}
	if err == nil {
		err = o.stat()
	}
	if err != nil || o.kind != toStream {
		return o, err
	}
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(o.fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		o.kind = toShared
		return o, nil
	}
	o.fd, o.file = again, nil
	return o, nil
}

// stat determines the kind of file.
func (o *Outlet) stat() error {
	if err := unix.Fstat(o.fd, &o.Stat); err != nil {
		return err
	}
	switch o.Stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		o.kind = toFile
	case unix.S_IFSOCK:
		o.kind = toSocket
	default:
		o.kind = toStream
	}
	return nil
}

// Fd returns the descriptor to poll for room; -1 if there is always room.
func (o *Outlet) Fd() int { return o.fd }

// Close closes the descriptor, if the outlet owns it.
func (o *Outlet) Close() {
	if o.file == nil && o.fd >= 0 {
		unix.Close(o.fd)
	}
}

// Write writes lines as far as possible without waiting for a reader, and returns the
// number of bytes written. If they are not all, err is why: EAGAIN if the reader is slow.
func (o *Outlet) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		m := 0
		m, err = o.once(o.piece(p[n:]))
		switch {
		case err == unix.EINTR:
			err = nil
		case err != nil:
		case m == 0: // a device that accepts nothing; a full disk would be ENOSPC
			err = unix.EIO
		default:
			n += m
		}
	}
	return n, err
}

// pipeBuf is PIPE_BUF, the number of bytes that are written to a pipe atomically (pipe(7)).
const pipeBuf = 4096

// piece returns what to write with one call: everything if it is a file, and otherwise
// only as many lines as are written atomically, since there may be other writers.
func (o *Outlet) piece(p []byte) []byte {
	if o.kind == toFile || o.kind == toNothing || len(p) <= pipeBuf {
		return p
	}
	if i := bytes.LastIndexByte(p[:pipeBuf], '\n'); i >= 0 {
		return p[:i+1]
	}
	if o.kind == toStream || o.kind == toSocket {
		// One long line, written in several steps.
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			return p[:i+1]
		}
		return p
	}
	return p[:pipeBuf]
}

// once writes with one call.
func (o *Outlet) once(p []byte) (int, error) {
	switch o.kind {
	case toNothing:
		return len(p), nil
	case toFile, toStream:
		return unix.Write(o.fd, p)
	case toSocket:
		return unix.SendmsgN(o.fd, p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	case toShared:
		n, err := unix.Pwritev2(o.fd, [][]byte{p}, -1, unix.RWF_NOWAIT)
		if err != unix.EOPNOTSUPP && err != unix.EINVAL {
			return n, err
		}
		o.kind = toPolled // Linux before 5.16
	}
	poll := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(poll, 0); err != nil || n == 0 {
		return 0, unix.EAGAIN
	}
	return unix.Write(o.fd, p)
}
