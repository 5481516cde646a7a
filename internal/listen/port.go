package listen

import "golang.org/x/sys/unix"

// Port returns the TCP port at which a socket listens; 0 if it is a unix socket.
func Port(fd int) int {
	at, err := unix.Getsockname(fd)
	if err != nil {
		return 0
	}
	switch a := at.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}
