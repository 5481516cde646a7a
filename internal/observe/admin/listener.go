package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/observe/address"
	"phalanx/internal/unixsocket"
)

// Listen listens at a valid address. The file of a unix socket is created with
// mode 0600, replaces a stale one, and is removed by Close. Errors are of type
// [*exitcode.Error].
func Listen(a address.Address) (*Listener, error) {
	network, where := a.Net()
	if !a.Unix() {
		l, err := new(net.ListenConfig).Listen(context.Background(), network, where)
		if err != nil {
			return nil, explain(a, err)
		}
		return own(l.(socket)), nil
	}
	defer unixsocket.LockDirectory(where)()
	l, err := unixsocket.Listen(where, 0o600)
	if err != nil {
		return nil, explain(a, err)
	}
	return own(l), nil
}

// Check returns an error if no server on this machine can listen at a valid address. It is not an
// error if another server listens there already, or if this user may not. Errors are of type
// [*exitcode.Error].
func Check(a address.Address) error {
	network, where := a.Net()
	if a.Unix() {
		if err := unixsocket.Check(where); err != nil {
			return explain(a, err)
		}
		return nil
	}
	host, _, _ := net.SplitHostPort(where)
	l, err := new(net.ListenConfig).Listen(context.Background(), network, net.JoinHostPort(host, "0"))
	if err != nil {
		return explain(a, err)
	}
	return l.Close()
}

// Inherit returns the listener of a [Listener.Descriptor] that was left open across
// execve(2). It takes ownership of fd.
func Inherit(fd int) (*Listener, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listens == 0 {
		err = errors.New("not a listening socket")
	}
	if err != nil {
		return nil, exitcode.New(exitcode.Failure, fmt.Sprintf("inherit the admin socket, descriptor %d: %v", fd, err), err)
	}
	f := os.NewFile(uintptr(fd), "admin socket")
	l, err := net.FileListener(f) // a copy, close-on-exec
	if err = errors.Join(err, f.Close()); err != nil {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
		return nil, exitcode.New(exitcode.Failure, fmt.Sprintf("inherit the admin socket, descriptor %d: %v", fd, err), err)
	}
	return own(l.(socket)), nil
}

// Listener removes the socket's file when closed, unless another server has
// replaced that file.
type Listener struct {
	socket
	path   string // of the socket's file; "": none
	once   sync.Once
	closed atomic.Bool
	err    error
}

// socket is a *net.TCPListener or a *net.UnixListener.
type socket interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// Descriptor returns the descriptor, which l still owns. It is close-on-exec and
// valid until l is closed. To pass it on across execve(2), clear the flag; the accept
// queue survives.
func (l *Listener) Descriptor() (fd int, err error) {
	raw, err := l.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd, err
}

// own returns a listener that removes its socket's file.
func own(l socket) *Listener {
	o := &Listener{socket: l}
	if name := l.Addr().String(); l.Addr().Network() == "unix" && name != "" && name[0] != '@' {
		o.path = name
	}
	return o
}

// Accept fails with net.ErrClosed once the listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.socket.Accept()
	if err != nil && l.closed.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

// Close may be called more than once.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.closed.Store(true)
		if l.path != "" {
			l.err = l.remove()
		}
		l.err = errors.Join(l.err, l.socket.Close())
	})
	return l.err
}

// remove shuts the socket down, for all processes that have a copy of it, which
// makes it stale, and removes its file.
func (l *Listener) remove() error {
	fd, err := l.Descriptor()
	if err == nil {
		err = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	defer unixsocket.LockDirectory(l.path)()
	stale := unixsocket.RemoveStale(l.path)
	if errors.Is(stale, unixsocket.ErrInUse) || errors.Is(stale, unixsocket.ErrNoSocket) {
		stale = nil // replaced by another server
	}
	if err = errors.Join(err, stale); err != nil {
		return fmt.Errorf("remove the admin socket %s: %w", l.path, err)
	}
	return nil
}
