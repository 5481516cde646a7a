package rescue

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Descriptors from a worker, alive or dead, are checked as if an attacker had chosen
// them: the worker that takes over a FIFO or a blocking socket would wait for it until
// it is killed.

var (
	errNoConnection = errors.New("the descriptor is not a connection")
	errNoFile       = errors.New("the descriptor is not a readable regular file")
)

// UnixStream stands for unix stream sockets among the protocols of CheckConnection.
const UnixStream = -1

// CheckConnection makes sure that a descriptor is a connection of one of the protocols
// (IPPROTO_TCP, IPPROTO_MPTCP, UnixStream), and that no operation on it blocks: neither a send or
// receive nor, because of SO_LINGER, its close.
func CheckConnection(fd int, protocols ...int) error {
	if !isConnection(fd, protocols...) {
		return errNoConnection
	}
	err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_RDWR|unix.O_NONBLOCK)
	}
	return err
}

func isConnection(fd int, protocols ...int) bool {
	protocol, err := protocol(fd)
	if err != nil || !slices.Contains(protocols, protocol) {
		return false
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && listens == 0
}

// protocol returns the protocol of a socket, or UnixStream.
func protocol(fd int) (int, error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		protocol, other := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		return protocol, errors.Join(err, other)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil && kind != unix.SOCK_STREAM {
		err = errNoConnection
	}
	return UnixStream, err
}

// CheckFile makes sure that a descriptor is a regular file, open for reading.
func CheckFile(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errNoFile
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_PATH != 0 || flags&unix.O_ACCMODE == unix.O_WRONLY {
		return errNoFile
	}
	return nil
}
