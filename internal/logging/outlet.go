package logging

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Outlet is an open file, pipe, socket or device that lines are written to without
// ever waiting for a reader. It is for one goroutine.
type Outlet struct {
	Stat unix.Stat_t // of what it leads to

	fd   int
	kind outletKind
	file *os.File // not owned; kept because its finalizer would close the descriptor
}

type outletKind uint8

const (
	toFile    outletKind = iota // a regular file: never waits for a reader
	toStream                    // a pipe or a device, opened not to block
	toSocket                    // takes MSG_DONTWAIT
	toOther                     // a pipe that is not owned: RWF_NOWAIT
	toOldest                    // asked with poll(2), for a kernel or a device without that
	toNothing                   // takes everything and keeps nothing
)

// Discard returns an outlet to nowhere: /dev/null, which not every root directory has.
func Discard() *Outlet { return &Outlet{fd: -1, kind: toNothing} }

// NewOutlet returns the outlet for a descriptor that was opened not to block. The
// descriptor is closed with it, or with an error.
func NewOutlet(fd int) (*Outlet, error) {
	o := &Outlet{fd: fd}
	if err := o.look(); err != nil {
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
		err = o.look()
	}
	if err != nil || o.kind != toStream {
		return o, err
	}
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(o.fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		o.kind = toOther
		return o, nil
	}
	o.fd, o.file = again, nil
	return o, nil
}

// look determines what the descriptor leads to.
func (o *Outlet) look() error {
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

// Fd returns the descriptor, to wait for room; -1 if there is always some.
func (o *Outlet) Fd() int { return o.fd }

// Close closes the descriptor, if the outlet owns it.
func (o *Outlet) Close() {
	if o.file == nil && o.fd >= 0 {
		unix.Close(o.fd)
	}
}

// Write writes lines as far as possible without waiting for a reader, and returns
// the number of bytes; err says why there are not more, EAGAIN that the reader is
// slow.
func (o *Outlet) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		m := 0
		m, err = o.once(o.piece(p[n:]))
		switch {
		case err == unix.EINTR:
			err = nil
		case err != nil:
		case m == 0: // a regular file would return ENOSPC; this one just takes nothing
			err = unix.EIO
		default:
			n += m
		}
	}
	return n, err
}

// pipeBuf is PIPE_BUF: up to so many bytes are written to a pipe atomically (pipe(7)).
const pipeBuf = 4096

// piece returns what to write at once: everything into a file, and elsewhere only as
// many lines as are written atomically, since there may be other writers.
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

func (o *Outlet) once(p []byte) (int, error) {
	switch o.kind {
	case toNothing:
		return len(p), nil
	case toFile, toStream:
		return unix.Write(o.fd, p)
	case toSocket:
		return unix.SendmsgN(o.fd, p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	case toOther:
		n, err := unix.Pwritev2(o.fd, [][]byte{p}, -1, unix.RWF_NOWAIT)
		if err != unix.EOPNOTSUPP && err != unix.EINVAL {
			return n, err
		}
		o.kind = toOldest // Linux before 5.16
	}
	poll := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(poll, 0); err != nil || n == 0 {
		return 0, unix.EAGAIN
	}
	return unix.Write(o.fd, p)
}
