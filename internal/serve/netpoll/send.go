package netpoll

import (
	"errors"
	"math"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
)

// sendfileMax is the largest number of bytes of one sendfile(2) call, so that a fast client
// does not delay others.
const sendfileMax = 1 << 20

// send sends all of p. It returns false if the connection has ended.
func (s *session) send(p []byte, flags int) bool {
	s.pending, s.flags, s.blocked = p, flags, false
	s.bucket.Sent(len(p))
	s.disarmSend()
	for {
		err := s.wait()
		if err == nil {
			s.conn.Unsent(0, s.engine.clock.Now())
			return s.err == nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !s.progresses() {
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

// sendNow writes as much as the socket accepts. It arms the deadline when the socket's buffer
// is full.
func (s *session) sendNow(fd uintptr) bool {
	for len(s.pending) > 0 {
		var n int
		n, s.err = unix.SendmsgN(int(fd), s.pending, nil, nil, s.flags|unix.MSG_NOSIGNAL)
		switch s.err {
		case nil:
			s.engine.cfg.Row.Bytes.Add(uint64(n))
			s.pending, s.blocked = s.pending[n:], false
		case unix.EINTR:
		case unix.EAGAIN:
			if !s.blocked { // the client's timeout starts here
				s.blocked = true
				s.conn.Unsent(len(s.pending), s.engine.clock.Now())
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
// false if the connection has ended.
func (s *session) sendSegment() bool {
	s.releaseBuffers()
	s.disarmSend()
	defer s.left.Store(0)
	for s.conn.Segment().Len > 0 {
		s.showSending()
		s.quota, _ = s.throttle(conn.Now{}) // the time is not needed
		err := s.raw.Write(s.tryFile)
		switch {
		case err == nil && s.err == nil:
			if (s.engine.drain.Load() != nil || s.cfg.MinRate > 0) && !s.progresses() {
				return false
			}
			runtime.Gosched()
		case err == nil:
			s.conn.Abort(s.err)
			return false
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.sendDeadline = 0
			if !s.progresses() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// sendfileNow sends one piece of the segment.
func (s *session) sendfileNow(fd uintptr) bool {
	seg := s.conn.Segment()
	off := seg.Off
	for {
		var n int
		n, s.err = unix.Sendfile(int(fd), seg.File.Fd(), &off, int(min(seg.Len, sendfileMax, s.quota)))
		switch {
		case s.err == unix.EINTR:
			continue
		case s.err == unix.EAGAIN:
			s.armSend()
			return false
		case s.err == nil && n == 0:
			s.err = serve.ErrShorter
		case s.err == nil:
			s.engine.cfg.Row.Bytes.Add(uint64(n))
			s.bucket.Sent(n)
			s.conn.Sent(int64(n), s.engine.clock.Now())
		}
		return true
	}
}

// throttle waits until the bandwidth limit allows sending, and returns the number of bytes and
// the time: now, or that after the wait, which does not count against the client.
func (s *session) throttle(now conn.Now) (int64, conn.Now) {
	rate := s.engine.cfg.Rate
	if !rate.Limited() {
		return math.MaxInt64, now
	}
	for {
		now = s.engine.clock.Now()
		if n := s.bucket.Allow(rate, now.Mono); n > 0 {
			return n, now
		}
		time.Sleep(serve.RateTick)
		s.conn.Waited(now.Mono, s.engine.clock.Now())
	}
}

// armSend arms the deadline for the next check of the client's progress.
func (s *session) armSend() {
	if now := s.engine.clock.Mono(); s.sendDeadline <= now {
		s.sendDeadline = now + serve.ProgressEvery
		s.file.SetWriteDeadline(s.engine.clock.Timer(s.sendDeadline))
	}
}

// disarmSend clears the deadline of an earlier wait, which would end the next one at once.
func (s *session) disarmSend() {
	if s.sendDeadline != 0 {
		s.sendDeadline = 0
		s.file.SetWriteDeadline(time.Time{})
	}
}

// progresses checks whether a slow client has acknowledged bytes. It returns false, and the
// connection has ended, if the client timed out.
func (s *session) progresses() bool {
	now := s.engine.clock.Now()
	s.checkDrain(now)
	s.measure(now)
	s.tally.Expired(s.conn.Expire(now))
	if now.Mono < s.conn.Deadline() {
		s.armSend()
		return true
	}
	s.reset()
	return false
}

// measure finds out whether a client that is sent a response is receiving bytes; see serve.ProgressEvery.
func (s *session) measure(now conn.Now) {
	if s.conn.Timer() != conn.TimerSend {
		return
	}
	s.raw.Control(func(fd uintptr) { s.queue.Progress(s.conn, int(fd), now) })
}
