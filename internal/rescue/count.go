package rescue

import (
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// States of a TCP socket, from include/net/tcp_states.h.
const (
	tcpFinWait1  = 4
	tcpFinWait2  = 5
	tcpTimeWait  = 6
	tcpClose     = 7
	tcpCloseWait = 8
	tcpLastAck   = 9
	tcpClosing   = 11
)

// ErrReset is returned by [Count] for a connection that the client has reset.
var ErrReset = errors.New("connection reset")

// looks limits how often Count reads the counters of a socket while they change.
const looks = 1000

// Count asks the kernel how many bytes have been received from a TCP socket and sent to it since
// it was accepted, by all processes that had it open. No process may receive or send meanwhile. A
// single reading of a busy socket is wrong once in a thousand times, because its counters are read
// one after the other; so two readings must agree. The socket needs SO_OOBINLINE: otherwise urgent
// data stops the count.
func Count(fd int) (received, sent uint64, err error) {
	for range looks {
		before, err := look(fd)
		if err != nil {
			return 0, 0, err
		}
		if before.state == tcpClose {
			return 0, 0, ErrReset
		}
		if before.unsent != 0 || before.unread != 0 { // otherwise nothing can change
			after, err := look(fd)
			if err != nil {
				return 0, 0, err
			}
			if before != after {
				continue
			}
		}
		received, sent = before.positions()
		return received, sent, nil
	}
	return 0, 0, fmt.Errorf("count bytes of socket %d: its counters keep changing", fd)
}

type counters struct {
	state           uint8
	acked, received uint64
	unsent, unread  int
}

// look reads the counters in such an order that with empty queues no byte is missed.
func look(fd int) (counters, error) {
	unsent, errUnsent := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	info, errInfo := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	unread, errUnread := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err := cmp.Or(errUnsent, errInfo, errUnread); err != nil {
		return counters{}, fmt.Errorf("count bytes of socket %d: %w", fd, err)
	}
	return counters{info.State, info.Bytes_acked, info.Bytes_received, unsent, unread}, nil
}

// positions returns the positions that the application has reached. A FIN takes one sequence
// number in either direction.
func (c *counters) positions() (received, sent uint64) {
	received = c.received - uint64(c.unread)
	switch c.state {
	case tcpCloseWait, tcpLastAck, tcpClosing, tcpTimeWait:
		received--
	}
	sent = c.acked + uint64(c.unsent)
	switch c.state {
	case tcpFinWait1, tcpFinWait2, tcpTimeWait, tcpLastAck, tcpClosing:
		sent--
	}
	return received, sent
}
