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

// inherited returns the options of every socket. An accepted socket starts
// with those of its listening one (tcp(7)), which saves a call for each on
// each connection.
func inherited() []option {
	return []option{
		// A response is written whole; waiting for more only delays it.
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		// A client that vanished without a word is noticed after 60 s and
		// three probes, and no earlier than the idle timeout would.
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		// A connection reaches accept() with its request already there, or
		// after about ten seconds without: 24 instead of 36 µs of CPU per
		// request when each has a connection of its own.
		{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(ipc.DeferAccept / time.Second)},
		// Urgent data is a byte like any other: outside the stream it would make
		// the kernel's count of unread bytes stop (see package rescue).
		{unix.SOL_SOCKET, unix.SO_OOBINLINE, 1},
	}
}

// claiming prepares the first socket, joining the others.
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
