package netpoll

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
)

// reset makes close reset the connection and discard unsent bytes.
func (s *session) reset() {
	s.raw.Control(func(fd uintptr) {
		unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

// unread returns the number of bytes waiting to be received.
func (s *session) unread() (n int) {
	s.raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return n
}

// receiving reports whether the client of a lingering session still receives the last response.
func (s *session) receiving(now conn.Now) (yes bool) {
	s.raw.Control(func(fd uintptr) { yes = s.queue.Lasts(&s.engine.cfg, s.conn, int(fd), now) })
	return yes
}

// lingering shuts down the sending side and discards what the client still sends. Otherwise
// close could reset the connection before the response has arrived.
func (s *session) lingering() {
	s.releaseBuffers()
	s.show()
	s.raw.Control(func(fd uintptr) {
		unix.Shutdown(int(fd), unix.SHUT_WR)
		s.queue.Acknowledged(int(fd)) // counts from here on
	})
	for {
		err := s.recv()
		s.releaseBuffers()
		now := s.engine.clock.Now()
		if now.Mono >= s.conn.Deadline() && s.receiving(now) {
			s.conn.Linger(now) // the last response is still on its way
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Clear both, or recv would not block.
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
