package admin

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// What there may be at the path of a socket.
var (
	errInUse    = errors.New("somebody listens there")
	errNoSocket = errors.New("no socket")
)

// problem is an error that begins with the address.
func problem(code int, addr string, err error, format string, args ...any) error {
	if quoted := strconv.Quote(addr); addr == "" || quoted[1:len(quoted)-1] != addr {
		addr = quoted
	}
	return exitcode.New(code, "admin address "+addr+": "+fmt.Sprintf(format, args...), err)
}

// explain says what came in the way of listening.
func explain(a address, err error) error {
	var unknown *net.DNSError
	switch {
	case errors.Is(err, errInUse), errors.Is(err, unix.EADDRINUSE):
		return problem(exitcode.Failure, a.text, err, "in use by another server; stop that or choose another")
	case errors.Is(err, errNoSocket):
		return problem(exitcode.Config, a.text, err, "the file is no socket, so it is left alone; remove it or choose another")
	case a.network == unixNetwork:
		return explainPath(a, err)
	case errors.As(err, &unknown):
		return problem(exitcode.Config, a.text, err, "no address is known for %s; give one such as 127.0.0.1", unknown.Name)
	case errors.Is(err, unix.EACCES):
		return problem(exitcode.Config, a.text, err, "needs a privilege; choose a port from 1024 up")
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return problem(exitcode.Config, a.text, err, "no address of this machine; choose one of its own, or leave it out for all")
	default:
		return problem(exitcode.Failure, a.text, err, "%v", err)
	}
}

func explainPath(a address, err error) error {
	dir := filepath.Dir(a.where)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return problem(exitcode.Config, a.text, err, "there is no directory %s; make it or choose another", dir)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return problem(exitcode.Config, a.text, err, "a socket cannot be made or replaced there (%v); see to the rights of %s or choose another", cause(err), dir)
	default:
		return problem(exitcode.Failure, a.text, err, "%v", err)
	}
}

// cause is the system's own word in an error.
func cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
