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
func Listen(a address.Address) (net.Listener, error) {
	network, where := a.Net()
	if !a.Unix() {
		l, err := new(net.ListenConfig).Listen(context.Background(), network, where)
		if err != nil {
			return nil, explain(a, err)
		}
		return &listener{Listener: l}, nil
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

// Inherit returns the listener of a [Descriptor] that was left open across
// execve(2). It takes ownership of fd.
func Inherit(fd int) (net.Listener, error) {
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
	return own(l), nil
}

// SetDeadline implements the method of net.TCPListener and net.UnixListener.
func (l *listener) SetDeadline(t time.Time) error {
	return l.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(t)
}

// Descriptor returns the descriptor of a listener, which still owns it. It is
// close-on-exec and valid until the listener is closed. To pass it on across
// execve(2), clear the flag; the accept queue survives.
func Descriptor(l net.Listener) (int, error) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("descriptor of the admin socket: %T has none", l)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("descriptor of the admin socket: %w", err)
	}
	fd := -1
	if err := raw.Control(func(n uintptr) { fd = int(n) }); err != nil {
		return -1, fmt.Errorf("descriptor of the admin socket: %w", err)
	}
	return fd, nil
}

// listener removes the socket's file when closed, unless another server has
// replaced that file.
type listener struct {
	net.Listener
	path   string // of the socket's file; "": none
	once   sync.Once
	closed atomic.Bool
	err    error
}

// own returns a listener that removes its socket's file.
func own(l net.Listener) *listener {
	o := &listener{Listener: l}
	if name := l.Addr().String(); l.Addr().Network() == "unix" && name != "" && name[0] != '@' {
		o.path = name
	}
	return o
}

// SyscallConn implements [syscall.Conn].
func (l *listener) SyscallConn() (syscall.RawConn, error) {
	return l.Listener.(syscall.Conn).SyscallConn()
}

// Accept fails with net.ErrClosed once the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil && l.closed.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

// Close may be called more than once.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.closed.Store(true)
		if l.path != "" {
			l.err = l.remove()
		}
		l.err = errors.Join(l.err, l.Listener.Close())
	})
	return l.err
}

// remove shuts the socket down, for all processes that have a copy of it, which
// makes it stale, and removes its file.
func (l *listener) remove() error {
	fd, err := Descriptor(l)
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
