package serve

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptPause is for how long a worker that is out of descriptors or memory
// stops accepting: long enough not to spin, short enough to go on as soon as
// a connection ends.
const acceptPause = 50 * time.Millisecond

// acceptAll accepts until drain is closed, and then what already waits.
func (w *Worker) acceptAll(listener *os.File, drain <-chan struct{}) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	for {
		err := w.acceptOne(raw)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return w.acceptRest(raw)
		case isExhausted(err):
			w.cfg.Log.Warn().Err(err).Msg("accepting paused")
			select {
			case <-time.After(acceptPause):
			case <-drain:
			}
		case !isPassing(err):
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// acceptOne waits for a connection and serves it.
func (w *Worker) acceptOne(raw syscall.RawConn) error {
	var fd int
	var from unix.Sockaddr
	var err error
	wait := raw.Read(func(s uintptr) bool {
		fd, from, err = unix.Accept4(int(s), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err != unix.EAGAIN
	})
	if wait != nil {
		return wait
	}
	if err != nil {
		return err
	}
	w.start(fd, from)
	return nil
}

// acceptRest takes what waits in the accept queue. Out of descriptors, it
// waits for connections to end: all that is in the queue has been promised
// an answer.
func (w *Worker) acceptRest(raw syscall.RawConn) error {
	for {
		var fd int
		var from unix.Sockaddr
		var err error
		if control := raw.Control(func(s uintptr) {
			fd, from, err = unix.Accept4(int(s), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		}); control != nil {
			return control
		}
		switch {
		case err == nil:
			w.start(fd, from)
		case err == unix.EAGAIN:
			return nil
		case isExhausted(err):
			time.Sleep(acceptPause)
		case !isPassing(err):
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// isExhausted reports whether accepting has to pause.
func isExhausted(err error) bool {
	return err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS || err == unix.ENOMEM
}

// isPassing reports whether the error belongs to the connection that was to
// be accepted and says nothing of the next one: accept(2) asks to treat the
// pending network errors of a new socket like EAGAIN.
func isPassing(err error) bool {
	switch err {
	case unix.EINTR, unix.EAGAIN, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return true
	}
	return false
}

// address writes a client's address for the log; an IPv4 client of an IPv6
// socket has its IPv4 address.
func address(from unix.Sockaddr) string {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)).String()
	}
	return "unknown"
}

// peerAddress asks for a client's address.
func peerAddress(fd int) string {
	from, err := unix.Getpeername(fd)
	if err != nil {
		return "unknown"
	}
	return address(from)
}
