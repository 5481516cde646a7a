package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

const (
	unixNetwork = "unix"
	tcpNetwork  = "tcp"

	// maxPath is the longest path of a socket in bytes: sun_path has 108, the
	// last of them zero (unix(7)).
	maxPath = 107
)

// address is where to listen, in the terms of package net.
type address struct {
	text           string // as it was given
	network, where string
}

func parse(addr string) (address, error) {
	if strings.Contains(addr, "/") {
		return parsePath(addr)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil && digits(addr) {
		return address{}, problem(exitcode.Usage, addr, err, "a port alone is no address; write :%s for every address of this machine, or 127.0.0.1:%s for itself alone", addr, addr)
	}
	if err != nil {
		return address{}, problem(exitcode.Usage, addr, err, "neither HOST:PORT nor a path; write 127.0.0.1:9180 or [::1]:9180, or a path with a slash for a unix socket")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return address{}, problem(exitcode.Usage, addr, err, "the port is no number from 0 to 65535; write one as in %s", net.JoinHostPort(host, "9180"))
	}
	return address{addr, tcpNetwork, addr}, nil
}

func parsePath(path string) (address, error) {
	a := address{path, unixNetwork, path}
	if strings.HasPrefix(path, "@") {
		a.where = "./" + path // net takes a leading @ for a socket without a file
	}
	switch {
	case strings.Contains(path, "\x00"):
		return a, problem(exitcode.Usage, path, nil, "no path has a zero byte; choose another")
	case strings.HasSuffix(path, "/"):
		return a, problem(exitcode.Usage, path, nil, "a directory; add the name of the socket")
	case len(a.where) > maxPath:
		return a, problem(exitcode.Config, path, nil, "%d bytes are too many for the path of a socket, which has %d at most; choose a shorter one", len(path), maxPath)
	}
	return a, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Listen listens on HOST:PORT, where no host is every address, or, if addr has
// a slash in it, on a unix socket of that path. A unix socket's file has mode
// 0600 from the moment it exists, takes the place of one on which nobody
// listens, and is removed by Close. Errors are of type [*exitcode.Error].
func Listen(addr string) (net.Listener, error) {
	a, err := parse(addr)
	if err != nil {
		return nil, err
	}
	if a.network == tcpNetwork {
		l, err := new(net.ListenConfig).Listen(context.Background(), a.network, a.where)
		if err != nil {
			return nil, explain(a, err)
		}
		return &listener{Listener: l}, nil
	}
	defer lockDirectory(a.where)()
	if err := vacate(a.where); err != nil {
		return nil, explain(a, err)
	}
	// bind(2) gives the file the socket's own mode, less the umask.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(controlErr, err)
	}}
	l, err := private.Listen(context.Background(), a.network, a.where)
	if err != nil {
		return nil, explain(a, err)
	}
	return own(l), nil
}

// Inherit takes over a listener whose [Descriptor] the program that this process
// was before has left open across execve(2). fd belongs to the listener then.
func Inherit(fd int) (net.Listener, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listens == 0 {
		err = errors.New("it does not listen")
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

// SetDeadline is that of the listener of package net.
func (l *listener) SetDeadline(t time.Time) error {
	return l.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(t)
}

// Descriptor returns that of a listener, which stays its own: close-on-exec,
// and valid until it is closed. Who executes another program that is to go on
// with it clears the flag; connections that wait to be accepted wait for that.
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

// listener removes the socket's file when it is closed, once, and never a file
// that has become another's.
type listener struct {
	net.Listener
	path   string // of the socket's file; "": it has none
	once   sync.Once
	closed atomic.Bool
	err    error
}

func own(l net.Listener) *listener {
	o := &listener{Listener: l}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it would remove whatever has the name
		if name := l.Addr().String(); name != "" && name[0] != '@' {
			o.path = name
		}
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

// Close can be called again.
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

// remove lets the socket refuse connections, whoever has a copy of it, and so
// be one on which nobody listens.
func (l *listener) remove() error {
	fd, err := Descriptor(l)
	if err == nil {
		err = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	defer lockDirectory(l.path)()
	gone := vacate(l.path)
	if errors.Is(gone, errInUse) || errors.Is(gone, errNoSocket) {
		gone = nil // somebody has put another there
	}
	if err = errors.Join(err, gone); err != nil {
		return fmt.Errorf("remove the admin socket %s: %w", l.path, err)
	}
	return nil
}
