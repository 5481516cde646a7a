package site

import (
	"errors"
	"sync"
)

const (
	spoolMax   = 256 << 10 // capacity in bytes
	spoolEnter = 32 << 10  // bytes at which a waiting reader is woken
	spoolPiece = 64 << 10  // bytes that are read at once, at most
)

// errReaderClosed is the error of Write after close.
var errReaderClosed = errors.New("the reader has closed the archive")

// spool is a buffer between a writing goroutine, which blocks while the buffer is full, and a
// reader that must not block, which is called when there is enough to read.
type spool struct {
	mu     sync.Mutex
	room   *sync.Cond // signalled when bytes have been read, and by close
	held   []byte
	read   int    // bytes of held that have been read
	wake   func() // of a waiting reader; nil: it does not wait
	ended  bool   // nothing more is written
	err    error  // why the content is incomplete
	closed bool   // nothing more is read
}

func newSpool() *spool {
	s := new(spool)
	s.room = sync.NewCond(&s.mu)
	return s
}

// Write blocks until there is room for all of p, and fails after close.
func (s *spool) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var k int
		k, err = s.write(p)
		n, p = n+k, p[k:]
	}
	return n, err
}

func (s *spool) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting() >= spoolMax && !s.closed {
		s.room.Wait()
	}
	if s.closed {
		return 0, errReaderClosed
	}
	if s.read > 0 && len(s.held)+len(p) > cap(s.held) {
		s.held = append(s.held[:0], s.held[s.read:]...)
		s.read = 0
	}
	n := min(len(p), spoolMax-s.waiting())
	s.held = append(s.held, p[:n]...)
	if s.waiting() >= spoolEnter {
		s.wakeUp()
	}
	return n, nil
}

func (s *spool) waiting() int { return len(s.held) - s.read }

// wakeUp calls wake, which must not block, if the reader waits.
func (s *spool) wakeUp() {
	if wake := s.wake; wake != nil {
		s.wake = nil
		wake()
	}
}

// end ends the writing; err is why the content is incomplete, nil if it is not.
func (s *spool) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, err
	s.wakeUp()
}

// append appends at most spoolPiece bytes, and reports whether the content is complete.
func (s *spool) append(dst []byte) (_ []byte, done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.waiting(), spoolPiece)
	dst = append(dst, s.held[s.read:s.read+n]...)
	if s.read += n; s.read == len(s.held) {
		s.held, s.read = s.held[:0], 0
	}
	s.room.Signal()
	if s.waiting() > 0 || !s.ended {
		return dst, false, nil
	}
	return dst, s.err == nil, s.err
}

// await arranges that wake is called once when there is enough to read, or the spool has
// ended or is closed. It returns false if that is so already.
func (s *spool) await(wake func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.waiting() >= spoolEnter {
		return false
	}
	s.wake = wake
	return true
}

// close ends the reading.
func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.held, s.read = nil, 0
	s.room.Signal()
	s.wakeUp()
}
