package listen

import (
	"syscall"
	"time"

	"github.com/libp2p/go-reuseport"
	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// option is a socket option with an integer value.
type option struct {
	level, name, value int
}

// inherited returns the options of every socket. Accepted sockets inherit them (tcp(7)), which
// saves system calls per connection.
func inherited() []option {
	return []option{
		// Responses are written at once; Nagle's algorithm would only delay them.
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		// A client that disappeared is detected after 60 s and three probes.
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		// A connection is accepted once its request has arrived, or after about ten seconds:
		// 24 instead of 36 µs of CPU time per request if each has a connection of its own.
		{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(ipc.DeferAccept / time.Second)},
		// Keep urgent data in the stream: outside it, SIOCINQ would stop counting there (see
		// package rescue).
		{unix.SOL_SOCKET, unix.SO_OOBINLINE, 1},
	}
}

// claiming sets the options of the first socket before bind(2), joining those of the others.
func claiming(_, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		for _, o := range inherited() {
			if err = unix.SetsockoptInt(int(fd), o.level, o.name, o.value); err != nil {
				return
			}
		}
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}

func joining(network, address string, c syscall.RawConn) error {
	if err := reuseport.Control(network, address, c); err != nil {
		return err
	}
	return claiming(network, address, c)
}
