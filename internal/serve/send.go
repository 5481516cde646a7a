package serve

import (
	"errors"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/site"
)

// sendfileMax is the largest piece of a file in bytes that is handed to
// sendfile(2) at once, so that a fast client does not keep the others of its
// worker waiting.
const sendfileMax = 1 << 20

// source is what a conn.File must also be so that it can be sent.
type source interface {
	Fd() int
	Body() []byte // nil unless the whole file is held in memory
}

// inline appends the connection's segment to out. It returns false if the
// file has become shorter than its size was.
func inline(c *conn.Conn, out []byte, now conn.Now) ([]byte, bool) {
	seg := c.Segment()
	file := seg.File.(source)
	if body := file.Body(); body != nil {
		c.Sent(seg.Len, now)
		return append(out, body[seg.Off:seg.Off+seg.Len]...), true
	}
	fd := file.Fd()
	for seg.Len > 0 {
		n, err := unix.Pread(fd, out[len(out):len(out)+int(seg.Len)], seg.Off)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			c.Abort("the file became shorter or unreadable")
			return out, false
		}
		out = out[:len(out)+n]
		c.Sent(int64(n), now)
		seg = c.Segment()
	}
	return out, true
}

// send sends p whole. It returns false when the connection is over.
func (s *session) send(p []byte, flags int) bool {
	s.pending, s.flags, s.blocked = p, flags, false
	s.disarmSend()
	for {
		err := s.wait()
		if err == nil {
			s.conn.Unsent(0, s.w.clock.now())
			return s.err == nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !s.patience() {
			return false
		}
	}
}

// wait calls trySend until it is done or the deadline has passed.
func (s *session) wait() error {
	err := s.raw.Write(s.trySend)
	if err != nil {
		s.sendDeadline = 0
	}
	return err
}

// sendNow sends what the socket takes. Its deadline is armed only when it
// takes no more.
func (s *session) sendNow(fd uintptr) bool {
	for len(s.pending) > 0 {
		var n int
		n, s.err = unix.SendmsgN(int(fd), s.pending, nil, nil, s.flags|unix.MSG_NOSIGNAL)
		switch s.err {
		case nil:
			s.w.cfg.Row.Bytes.Add(uint64(n))
			s.pending, s.blocked = s.pending[n:], false
		case unix.EINTR:
		case unix.EAGAIN:
			if !s.blocked { // the client's time runs from here on
				s.blocked = true
				s.conn.Unsent(len(s.pending), s.w.clock.now())
			}
			s.armSend()
			return false
		default:
			return true
		}
	}
	return true
}

// sendSegment sends the connection's segment with sendfile(2). It returns
// false when the connection is over.
func (s *session) sendSegment() bool {
	s.giveBack()
	s.disarmSend()
	defer s.left.Store(0)
	for s.conn.Segment().Len > 0 {
		s.left.Store(s.conn.Left())
		s.show()
		err := s.raw.Write(s.tryFile)
		switch {
		case err == nil && s.err == nil:
			runtime.Gosched()
		case err == nil:
			s.conn.Abort(s.err.Error())
			return false
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.sendDeadline = 0
			if !s.patience() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

var errShorter = errors.New("the file became shorter")

// sendfileNow sends one piece of the segment.
func (s *session) sendfileNow(fd uintptr) bool {
	seg := s.conn.Segment()
	off := seg.Off
	for {
		var n int
		n, s.err = unix.Sendfile(int(fd), seg.File.(source).Fd(), &off, int(min(seg.Len, sendfileMax)))
		switch {
		case s.err == unix.EINTR:
			continue
		case s.err == unix.EAGAIN:
			s.armSend()
			return false
		case s.err == nil && n == 0:
			s.err = errShorter
		case s.err == nil:
			s.w.cfg.Row.Bytes.Add(uint64(n))
			s.conn.Sent(int64(n), s.w.clock.now())
		}
		return true
	}
}

// lookEvery is how often a client that is waited for is looked at: the kernel
// tells a writer only when a third of the socket's buffer is free, and a slow
// client may need minutes for that. What is unacknowledged says whether it
// takes bytes at all.
const lookEvery = time.Second

// armSend makes sure that the client is looked at again.
func (s *session) armSend() {
	if now := s.w.clock.now().Mono; s.sendDeadline <= now {
		s.sendDeadline = now + lookEvery
		s.file.SetWriteDeadline(s.w.clock.at(s.sendDeadline))
	}
}

// disarmSend forgets a deadline of an earlier wait, which would end the next
// one before it has begun.
func (s *session) disarmSend() {
	if s.sendDeadline != 0 {
		s.sendDeadline = 0
		s.file.SetWriteDeadline(time.Time{})
	}
}

// patience looks whether a client that is waited for has taken bytes. It
// returns false, and the connection is over, when it has not for too long.
func (s *session) patience() bool {
	now := s.w.clock.now()
	queued := 0
	s.raw.Control(func(fd uintptr) { queued, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if queued != s.queued {
		s.queued = queued
		s.conn.Progress(now)
	}
	s.conn.Expire(now)
	if now.Mono < s.conn.Deadline() {
		s.armSend()
		return true
	}
	s.step(nil, conn.Reset, now)
	return false
}

var _ source = (*site.File)(nil)
