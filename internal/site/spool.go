package site

import (
	"errors"
	"sync"
)

const (
	spoolMax   = 256 << 10 // bytes that are held for a reader
	spoolEnter = 32 << 10  // bytes at which a reader that waits is woken
	spoolPiece = 64 << 10  // bytes that a reader takes at once
)

// errLeft means that nobody wants the rest.
var errLeft = errors.New("the reader has left")

// spool hands bytes from a goroutine that waits to a reader that must not: the writer
// stops when it is full, the reader is called when there is enough.
type spool struct {
	mu     sync.Mutex
	room   *sync.Cond // the reader has taken some, or left
	held   []byte
	read   int    // bytes of held that the reader has
	wake   func() // the reader waits; else nil
	ended  bool   // nothing more is written
	err    error  // why it ended early
	closed bool   // nothing more is read
}

func newSpool() *spool {
	s := new(spool)
	s.room = sync.NewCond(&s.mu)
	return s
}

// Write waits for room, and fails when the reader has left.
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
		return 0, errLeft
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

// wakeUp calls the reader, if it waits. The reader's function does not wait.
func (s *spool) wakeUp() {
	if wake := s.wake; wake != nil {
		s.wake = nil
		wake()
	}
}

// end ends the writing; err says why it is not complete.
func (s *spool) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, err
	s.wakeUp()
}

// append appends what there is, up to a piece, and reports whether that was all.
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

// await calls wake once when there is enough to read, or when the spool has ended or is
// closed; false: there is already.
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
