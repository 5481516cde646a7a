package ipc

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Descriptors come from processes that may be compromised (SCM_RIGHTS, unix(7)). The last close
// of a connection waits until all is sent, if SO_LINGER says so, for as long as the sender wants:
// also that of the kernel, for descriptors that a receiver has no room for, and for those in the
// queue of a socket that is closed.

// MaxRights is how many descriptors one message can carry (SCM_MAX_FD of the kernel).
const MaxRights = 253

// RightsRoom is the size in bytes of the control data of any message: its descriptors, its
// sender, and a header for each.
const RightsRoom = 4*MaxRights + 64

// Discard closes descriptors of another process, except negative ones. It resets SO_LINGER first,
// because in the last process that has a connection open, close could wait until everything is
// sent. A linger time of 0 stays: close then resets the connection, and does not wait.
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

// Empty shuts a socket of the master down, and discards the descriptors in its queue.
func Empty(socket int) {
	// The kernel adds the sender to each message, so that one without content is not
	// taken for the end.
	_ = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	_ = unix.Shutdown(socket, unix.SHUT_RDWR)
	var p [1]byte
	rights := make([]byte, RightsRoom)
	for {
		_, size, _, _, err := unix.Recvmsg(socket, p[:], rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR, err == unix.ECONNRESET: // which comes once, before the messages
			continue
		case err != nil || size == 0:
			return
		}
		Discard(descriptors(rights[:size])...)
	}
}

// descriptors returns those in the control data of a message.
func descriptors(control []byte) (fds []int) {
	for len(control) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break // the kernel makes none that are invalid
		}
		if got, err := unix.ParseUnixRights(&unix.SocketControlMessage{Header: header, Data: data}); err == nil {
			fds = append(fds, got...)
		}
		control = rest
	}
	return fds
}

// receiveMessage receives a message with all its descriptors, or none if they are more than
// most. The error is EMFILE if this process may not open so many.
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
		return 0, nil, err
	}
	return n, fds, nil
}

// receiveSome receives a message. If it is truncated, because this process may not open so many,
// its last descriptors are lost.
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
