package ipc

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// On a handover channel one worker hands its connections over to another: the master creates a
// SOCK_SEQPACKET socketpair and sends each worker an end. A message is one connection: the
// descriptor of its socket, that of the file being sent if there is one, and its state, which
// only workers interpret. End-of-file means that there are no more connections: the worker
// that hands over has closed its end or died.

// MaxState is the size of the largest state of a connection, in bytes.
const MaxState = 64 << 10

// Handover creates a handover channel, both ends close-on-exec and non-blocking: from is for
// the worker that hands over, to for the one that takes over. The caller closes both once they
// are sent.
func Handover() (from, to int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("create handover channel: %w", err)
	}
	return fds[0], fds[1], nil
}

// SendConnection hands one connection over; file is -1 if there is none. It never blocks:
// EAGAIN, ETOOMANYREFS, ENOBUFS and ENOMEM mean that the other worker has to catch up first,
// any other error that the channel is broken. The caller keeps its descriptors.
func SendConnection(fd int, state []byte, socket, file int) error {
	rights := unix.UnixRights(socket)
	if file >= 0 {
		rights = unix.UnixRights(socket, file)
	}
	_, err := unix.SendmsgN(fd, state, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return err
}

// PeekConnection takes one connection over. It stays in the channel until [NextConnection], so
// that it is not lost if this process is killed or has no free descriptor. p is MaxState bytes
// long and receives the state. The descriptors are close-on-exec and owned by the caller; file
// is -1 if there is none. The error is io.EOF after the last connection, EAGAIN if none is
// waiting, and EMFILE if this process has no free descriptor.
func PeekConnection(fd int, p []byte) (state []byte, socket, file int, err error) {
	n, fds, err := receiveMessage(fd, p, 2, unix.MSG_DONTWAIT|unix.MSG_PEEK)
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

// NextConnection removes the first connection from the channel.
func NextConnection(fd int) {
	var p [1]byte
	_, _, _ = unix.Recvfrom(fd, p[:], unix.MSG_DONTWAIT) // without a buffer for descriptors the kernel closes them
}

// Waiting reports whether connections are waiting in a handover channel. fd is the end of the
// worker that takes over.
func Waiting(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return err == nil && n > 0
}

// Ended reports whether all connections have been taken from a handover channel and no more come.
// fd is the end of the worker that takes over.
func Ended(fd int) bool {
	var p [1]byte
	n, _, err := unix.Recvfrom(fd, p[:], unix.MSG_DONTWAIT|unix.MSG_PEEK)
	return n == 0 && err == nil
}
