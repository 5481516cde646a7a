package accesslog

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// pipeBuf is PIPE_BUF: up to so many bytes are written to a pipe atomically (pipe(7)).
const pipeBuf = 4096

// write writes lines as far as possible without waiting for a reader, and returns
// the number of bytes; err says why there are not more, EAGAIN that the reader is
// slow.
func (o *outlet) write(p []byte) (n int, err error) {
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
	if err != nil && err != unix.EAGAIN {
		n -= o.truncate(p[:n])
	}
	return n, err
}

// piece returns what to write at once: everything, but into a pipe only as many lines
// as are written atomically, since standard output may have other writers.
func (o *outlet) piece(p []byte) []byte {
	if o.kind == toFile || o.kind == toSocket || len(p) <= pipeBuf {
		return p
	}
	if i := bytes.LastIndexByte(p[:pipeBuf], '\n'); i >= 0 {
		return p[:i+1]
	}
	if o.kind == toStream {
		// One long line, written in several steps.
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

// truncate removes the half line that a full disk left at the end of a regular file,
// and returns its length. The master is the only writer; if the file is shorter by
// now, someone else has truncated it.
func (o *outlet) truncate(written []byte) int {
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
