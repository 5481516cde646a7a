package ipc

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// On a handover channel one worker hands its connections over to another: the master
// creates a SOCK_SEQPACKET socketpair and sends each worker an end. A message is one
// connection: the descriptor of its socket, that of the file being sent if there is
// one, and its state in bytes that only workers interpret. End-of-file, when the
// worker that hands over closes its end or dies, means that no more will come.

// MaxState is the size in bytes of the largest state of a connection.
const MaxState = 64 << 10

// Handover makes a handover channel: the end for the worker that hands over,
// and that for the one that takes over, close-on-exec and non-blocking. The caller
// closes both once they have been sent.
func Handover() (from, to int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("create handover channel: %w", err)
	}
	return fds[0], fds[1], nil
}

// SendConnection hands one connection over; file is -1 when there is none. It
// never waits: EAGAIN, ETOOMANYREFS, ENOBUFS and ENOMEM mean that the other
// worker has to catch up first, any other error that the channel is broken. The
// caller's own descriptors stay open.
func SendConnection(fd int, state []byte, socket, file int) error {
	rights := unix.UnixRights(socket)
	if file >= 0 {
		rights = unix.UnixRights(socket, file)
	}
	for {
		_, err := unix.SendmsgN(fd, state, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// ReceiveConnection takes one connection over into p, which is MaxState bytes long; the
// descriptors are the caller's, close-on-exec, and file is -1 when there is
// none. The error is io.EOF when all have been handed over, EAGAIN when there
// is nothing yet, and EMFILE if this process may not open the descriptors.
func ReceiveConnection(fd int, p []byte) (state []byte, socket, file int, err error) {
	return receiveConnection(fd, p, 0)
}

// PeekConnection is ReceiveConnection, but the connection stays in the channel
// until [NextConnection], so it is not lost if this process is killed meanwhile, or has no
// free descriptor.
func PeekConnection(fd int, p []byte) (state []byte, socket, file int, err error) {
	return receiveConnection(fd, p, unix.MSG_PEEK)
}

// NextConnection takes the first connection out of the channel, unseen.
func NextConnection(fd int) {
	var p [1]byte
	for {
		// Without room for descriptors the kernel closes them.
		if _, _, err := unix.Recvfrom(fd, p[:], unix.MSG_DONTWAIT); err != unix.EINTR {
			return
		}
	}
}

// Waiting reports whether a handover channel holds connections, given the end of
// the worker that takes over.
func Waiting(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return err == nil && n > 0
}

func receiveConnection(fd int, p []byte, flag int) (state []byte, socket, file int, err error) {
	n, fds, err := receiveMessage(fd, p, 2, unix.MSG_DONTWAIT|flag)
	switch {
	case err != nil:
		return nil, -1, -1, err
	case len(fds) == 0 && n == 0:
		return nil, -1, -1, io.EOF
	case len(fds) == 0:
		return nil, -1, -1, fmt.Errorf("receive connection: message without its socket")
	case len(fds) == 1:
		return p[:n], fds[0], -1, nil
	}
	return p[:n], fds[0], fds[1], nil
}
