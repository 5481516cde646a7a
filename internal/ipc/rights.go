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

// controlRoom is a buffer size in bytes for the control data of any message: descriptors,
// sender, and a header for each.
const controlRoom = 4*MaxRights + 64

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
	for {
		got, err := Receive(socket, p[:], unix.MSG_DONTWAIT)
		switch {
		case err == unix.ECONNRESET: // reported once, before the messages
			continue
		case err != nil || !got.HasSender:
			return
		}
		Discard(got.FDs...)
	}
}

// receiveMessage receives a message with all its descriptors. The error is [ErrTruncated] if
// there are more than most, and EMFILE if this process has too few free descriptors; the
// descriptors are then closed, and p has the n bytes of the message nevertheless.
func receiveMessage(socket int, p []byte, most, flag int) (n int, fds []int, err error) {
	got, err := Receive(socket, p, flag)
	switch {
	case len(got.FDs) > most:
		err = ErrTruncated
	case got.Truncated:
		err = unix.EMFILE
	}
	if err != nil {
		Discard(got.FDs...)
		return got.N, nil, err
	}
	return got.N, got.FDs, nil
}

// Received is a message as the kernel delivers it.
type Received struct {
	N         int   // bytes
	FDs       []int // descriptors
	Truncated bool  // this process has too few free descriptors, and the last ones are lost
	HasSender bool  // the socket has SO_PASSCRED, and this is not end-of-file
	Sender    int   // pid, then
}

// Receive receives a message.
func Receive(socket int, p []byte, flag int) (m Received, err error) {
	control := make([]byte, controlRoom)
	var size, flags int
	for err = unix.EINTR; err == unix.EINTR; {
		m.N, size, flags, _, err = unix.Recvmsg(socket, p, control, flag|unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return Received{}, err
	}
	m.Truncated = flags&unix.MSG_CTRUNC != 0
	parts, _ := unix.ParseSocketControlMessage(control[:size]) // the kernel's control data is valid
	for _, part := range parts {
		if fds, err := unix.ParseUnixRights(&part); err == nil {
			m.FDs = append(m.FDs, fds...)
		}
		if sender, err := unix.ParseUnixCredentials(&part); err == nil {
			m.HasSender, m.Sender = true, int(sender.Pid)
		}
	}
	return m, nil
}
