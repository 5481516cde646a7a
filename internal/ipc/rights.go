package ipc

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Descriptors are received from processes that may be compromised (SCM_RIGHTS, unix(7)). If
// the sender has set SO_LINGER on a connection, its last close blocks until everything is
// sent, for as long as the sender chose. That includes closes by the kernel: of descriptors
// that do not fit into the receiver's buffer, and of those in the queue of a closed socket.

// MaxRights is the largest number of descriptors in a message (SCM_MAX_FD of the kernel).
const MaxRights = 253

// RightsRoom is a buffer size in bytes for the control data of any message: descriptors,
// sender, and a header for each.
const RightsRoom = 4*MaxRights + 64

// Discard closes descriptors received from another process, except negative ones. It clears
// SO_LINGER first, so that close does not block. A linger time of 0 is kept: close then resets
// the connection without blocking.
func Discard(fds ...int) {
	for _, fd := range fds {
		if fd < 0 {
			continue
		}
		var linger [8]byte // unix.Linger
		option, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_LINGER)
		binary.NativeEndian.PutUint64(linger[:], option)
		if seconds := binary.NativeEndian.Uint32(linger[4:]); err == nil && seconds != 0 {
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
		}
		unix.Close(fd)
	}
}

// Empty shuts a socket down and discards the messages and descriptors in its queue.
func Empty(socket int) {
	// With SO_PASSCRED each message has control data, which distinguishes an empty one from
	// end-of-file.
	_ = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	_ = unix.Shutdown(socket, unix.SHUT_RDWR)
	var p [1]byte
	rights := make([]byte, RightsRoom)
	for {
		_, size, _, _, err := unix.Recvmsg(socket, p[:], rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR, err == unix.ECONNRESET: // reported once, before the messages
			continue
		case err != nil || size == 0:
			return
		}
		Discard(descriptors(rights[:size])...)
	}
}

// descriptors returns the descriptors in the control data of a message.
func descriptors(control []byte) (fds []int) {
	for len(control) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break // never: the kernel's control data is valid
		}
		if got, err := unix.ParseUnixRights(&unix.SocketControlMessage{Header: header, Data: data}); err == nil {
			fds = append(fds, got...)
		}
		control = rest
	}
	return fds
}

// receiveMessage receives a message with all its descriptors. The error is [ErrTruncated] if
// there are more than most, and EMFILE if this process has too few free descriptors; the
// descriptors are then closed, and p has the n bytes of the message nevertheless.
func receiveMessage(socket int, p []byte, most, flag int) (n int, fds []int, err error) {
	n, fds, truncated, err := receiveSome(socket, p, flag)
	switch {
	case len(fds) > most:
		err = ErrTruncated
	case truncated:
		err = unix.EMFILE
	}
	if err != nil {
		Discard(fds...)
		return n, nil, err
	}
	return n, fds, nil
}

// receiveSome receives a message. truncated: this process has too few free descriptors, and
// the last ones of the message are lost.
func receiveSome(socket int, p []byte, flag int) (n int, fds []int, truncated bool, err error) {
	rights := make([]byte, RightsRoom)
	var size, flags int
	for {
		n, size, flags, _, err = unix.Recvmsg(socket, p, rights, flag|unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, nil, false, err
	}
	return n, descriptors(rights[:size]), flags&unix.MSG_CTRUNC != 0, nil
}
