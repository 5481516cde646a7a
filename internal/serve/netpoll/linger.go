package netpoll

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// This file ends connections.

// reset makes the close of the socket discard what has not been delivered.
func (s *session) reset() {
	s.raw.Control(func(fd uintptr) {
		unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

// unread returns how many bytes wait to be received.
func (s *session) unread() (n int) {
	s.raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return n
}

// lingering shuts the sending side down and discards what the client still sends, so
// that closing does not reset the connection before the response has arrived.
func (s *session) lingering() {
	s.giveBack()
	s.show()
	s.raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	for {
		err := s.recv()
		s.giveBack()
		now := s.engine.clock.Now()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// It ends anyway; while either is set, recv does not wait.
			s.woken.Store(false)
			s.unwanted.Store(false)
			s.conn.Expire(now)
			if now.Mono < s.conn.Deadline() {
				continue
			}
		}
		if err != nil || now.Mono >= s.conn.Deadline() {
			return
		}
	}
}
