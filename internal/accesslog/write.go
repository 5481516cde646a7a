package accesslog

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// pipeBuf is how many bytes a pipe takes whole or not at all: PIPE_BUF, pipe(7).
const pipeBuf = 4096

// write writes lines, as far as they are taken without waiting for a reader, and
// returns how many bytes that were; err says why there are not more, EAGAIN that
// the reader is slow.
func (o *outlet) write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		m := 0
		m, err = o.once(o.piece(p[n:]))
		switch {
		case err == unix.EINTR:
			err = nil
		case err != nil:
		case m == 0: // a regular file would say ENOSPC; whatever this is, it takes nothing
			err = unix.EIO
		default:
			n += m
		}
	}
	if err != nil && err != unix.EAGAIN {
		n -= o.cut(p[:n])
	}
	return n, err
}

// piece returns what to write at once: all, but into a pipe no more lines than it
// takes as a whole. It may have other writers, if it is standard output.
func (o *outlet) piece(p []byte) []byte {
	if o.kind == toFile || o.kind == toSocket || len(p) <= pipeBuf {
		return p
	}
	if i := bytes.LastIndexByte(p[:pipeBuf], '\n'); i >= 0 {
		return p[:i+1]
	}
	if o.kind == toStream {
		// One long line: it goes in by and by.
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			return p[:i+1]
		}
		return p
	}
	return p[:pipeBuf]
}

func (o *outlet) once(p []byte) (int, error) {
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

// cut takes the half line off a regular file that ends what was written when the
// disk was full, and returns how many bytes that were. We are its only writer; and
// if it is shorter by now, somebody else has cut it.
func (o *outlet) cut(written []byte) int {
	half := len(written) - (bytes.LastIndexByte(written, '\n') + 1)
	if half == 0 || o.kind != toFile || !o.path {
		return 0
	}
	var st unix.Stat_t
	if unix.Fstat(o.fd, &st) != nil || st.Size < int64(half) || unix.Ftruncate(o.fd, st.Size-int64(half)) != nil {
		return 0
	}
	return half
}
