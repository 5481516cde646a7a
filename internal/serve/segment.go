package serve

import (
	"errors"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// Inline appends the connection's segment to out. It returns false if the file cannot be read
// or has become shorter; the connection is aborted then.
func Inline(c Protocol, out []byte, now conn.Now) ([]byte, bool) {
	return InlinePart(c, out, c.Segment().Len, now)
}

// InlinePart is Inline for the first most bytes of the segment. out must have the capacity for
// them.
func InlinePart(c Protocol, out []byte, most int64, now conn.Now) ([]byte, bool) {
	seg := c.Segment()
	seg.Len = most
	if body := seg.File.Body(); body != nil {
		c.Sent(seg.Len, now)
		return append(out, body[seg.Off:seg.Off+seg.Len]...), true
	}
	fd := seg.File.Fd()
	for seg.Len > 0 {
		n, err := unix.Pread(fd, out[len(out):len(out)+int(seg.Len)], seg.Off)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = ErrShorter
		}
		if err != nil {
			c.Abort(err)
			return out, false
		}
		out = out[:len(out)+n]
		c.Sent(int64(n), now)
		seg.Off, seg.Len = seg.Off+int64(n), seg.Len-int64(n)
	}
	return out, true
}

// Causes of a truncated response, besides the errors of system calls.
var (
	ErrShorter = errors.New("the file became shorter")
	ErrLost    = errors.New("the connection was lost")
)
