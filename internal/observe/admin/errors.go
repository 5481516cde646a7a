package admin

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
	"phalanx/internal/observe/address"
	"phalanx/internal/unixsocket"
)

// problem returns an error that begins with the flag.
func problem(code int, a address.Address, err error, format string, args ...any) error {
	addr := string(a)
	if quoted := strconv.Quote(addr); quoted[1:len(quoted)-1] != addr {
		addr = quoted
	}
	return exitcode.New(code, "--admin "+addr+": "+fmt.Sprintf(format, args...), err)
}

// explain turns an error of listening into an [exitcode.Error].
func explain(a address.Address, err error) error {
	var unknown *net.DNSError
	_, port, _ := net.SplitHostPort(string(a))
	switch {
	case errors.Is(err, unixsocket.ErrInUse), errors.Is(err, unix.EADDRINUSE):
		return problem(exitcode.Failure, a, err, "in use by another server; stop it or choose another address")
	case errors.Is(err, unixsocket.ErrNoSocket):
		return problem(exitcode.Config, a, err, "the file exists and is not a socket; remove it or choose another path")
	case a.Unix():
		return explainPath(a, err)
	case errors.As(err, &unknown):
		return problem(exitcode.Config, a, err, "host %s cannot be resolved; use an IP address such as 127.0.0.1", unknown.Name)
	case errors.Is(err, unix.EACCES):
		return problem(exitcode.Config, a, err, "permission denied; run as root, grant CAP_NET_BIND_SERVICE, or choose a port from 1024 up")
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return problem(exitcode.Config, a, err, "not an address of this machine; choose one of its own, such as 127.0.0.1:%s", port)
	default:
		return problem(exitcode.Failure, a, err, "%v", err)
	}
}

func explainPath(a address.Address, err error) error {
	dir := filepath.Dir(string(a))
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return problem(exitcode.Config, a, err, "directory %s does not exist; create it or choose another path", dir)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return problem(exitcode.Config, a, err, "create the socket: %v; check the permissions of %s or choose another path", human.Cause(err), dir)
	default:
		return problem(exitcode.Failure, a, err, "%v", err)
	}
}
