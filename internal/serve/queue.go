package serve

import (
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/h2"
)

// Queue is the send queue of a connection's socket in the kernel: what the client has not
// acknowledged, when it was last measured.
type Queue struct{ bytes int32 }

// Acknowledged measures the queue, and returns how many bytes the client has acknowledged since the last
// call, less those that were sent meanwhile.
func (q *Queue) Acknowledged(fd int) int64 {
	bytes, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	n := int64(q.bytes) - int64(bytes)
	q.bytes = int32(bytes)
	return n
}

// Progress tells a connection what its client has acknowledged; see [ProgressEvery].
func (q *Queue) Progress(c Protocol, fd int, now conn.Now) {
	c.Progress(q.Acknowledged(fd), now)
	if c, ok := c.(*h2.Conn); ok {
		c.Queued(int64(q.bytes), now)
	}
}

// lastSegment is how many bytes arrive in one segment with the FIN, before the client could answer: it is less
// than the default MSS of IPv4. The GOAWAY frames to an idle client that has vanished are fewer.
const lastSegment = 500

// Lasts measures the queue of a lingering connection, and reports whether its client still receives the last
// response. An HTTP/2 client opens windows while it receives: if the socket were closed, the WINDOW_UPDATE frame
// would cause a reset, and the rest of the response would be lost. So it has as much time as before the end.
func (q *Queue) Lasts(cfg *Config, c Protocol, fd int, now conn.Now) bool {
	n := q.Acknowledged(fd)
	if q.bytes <= lastSegment {
		return false
	}
	if c, ok := c.(*h2.Conn); ok {
		return c.InTime(n, now)
	}
	return n >= cfg.lingerBytes()
}

// MostSpared is how many idle connections that are delivering a worker spares when it makes room for a new one.
// It bounds the search if attackers receive nothing.
const MostSpared = 100

// Delivering reports whether the client of an idle HTTP/2 connection is still receiving responses: they are complete
// for the worker, but if the socket were closed, the next WINDOW_UPDATE frame would cause a reset.
func Delivering(fd int) bool {
	bytes, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return err == nil && bytes > lastSegment
}
