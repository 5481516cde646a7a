// Package ipc has the channels between processes, all SOCK_SEQPACKET socketpairs: the control
// channel between the master and one worker, with small typed messages ([Channel]); the handover
// channel between two workers ([Handover]); and the rescue channel ([RescueChannel]).
//
// The kernel preserves message boundaries, so there is no framing. End-of-file means that the
// other process is dead: it comes when the last copy of the other end is closed, however that
// process ended.
package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Channel is one end. One goroutine may receive while others send.
type Channel struct {
	file *os.File
	raw  syscall.RawConn
	buf  [MaxMessage + 1]byte // one more, to detect a truncated message

	taking   sync.Mutex // held while a message is taken from the socket
	handling bool       // the receiver has got a message, and not come back for the next
}

// Pair creates a channel, both ends close-on-exec and non-blocking. The worker's end is for
// exec.Cmd.ExtraFiles. The caller closes it once the worker has started; otherwise the master
// would never receive end-of-file.
func Pair() (master *Channel, worker *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX,
		unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("create control channel: %w", err)
	}
	return newChannel(fds[0]), os.NewFile(uintptr(fds[1]), "control channel"), nil
}

// Open returns the worker's end on an inherited descriptor.
func Open(fd uintptr) (*Channel, error) {
	kind, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil && kind != unix.SOCK_SEQPACKET {
		err = unix.EPROTOTYPE
	}
	if err == nil {
		err = unix.SetNonblock(int(fd), true)
	}
	if err != nil {
		return nil, fmt.Errorf("open control channel on descriptor %d: %w", fd, err)
	}
	unix.CloseOnExec(int(fd))
	return newChannel(int(fd)), nil
}

// newChannel takes ownership of fd, which must be non-blocking: os.NewFile then uses the
// runtime's poller, so that Close wakes a blocked Receive.
func newChannel(fd int) *Channel {
	c := &Channel{file: os.NewFile(uintptr(fd), "control channel")}
	c.raw, _ = c.file.SyscallConn() // it does not fail for an open file
	return c
}

// Send queues one message and never blocks. [ErrFull] means that the other side has not read
// for a long time, EPIPE that it is dead.
func (c *Channel) Send(m Message) error { return c.send(m, nil, false) }

// SendWait is Send for a message that must arrive: it waits until the other side has read most
// of the queue. Other messages wait behind it.
func (c *Channel) SendWait(m Message) error { return c.send(m, nil, true) }

// SendFile is Send for a message with a descriptor, which is duplicated to the other side.
func (c *Channel) SendFile(m Message, fd int) error {
	return c.send(m, unix.UnixRights(fd), false)
}

func (c *Channel) send(m Message, rights []byte, wait bool) error {
	p := Encode(m)
	var sendErr error
	err := c.raw.Write(func(fd uintptr) bool {
		// No EINTR: it does not block.
		_, sendErr = unix.SendmsgN(int(fd), p, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return !wait || sendErr != unix.EAGAIN
	})
	if err == nil {
		err = sendErr
	}
	if errors.Is(err, unix.EAGAIN) {
		err = ErrFull
	}
	if err != nil {
		return fmt.Errorf("send on control channel: %w", err)
	}
	return nil
}

// Receive waits for one message. It returns io.EOF when the other side is dead, and an error
// wrapping os.ErrClosed after Close. A descriptor that comes with the message is closed.
func (c *Channel) Receive() (Message, error) {
	m, fd, err := c.ReceiveFile()
	Discard(fd)
	return m, err
}

// ReceiveFile is Receive for messages with a descriptor. fd is close-on-exec and owned by the
// caller; -1: the message had none. If this process has no free descriptor for it, the error wraps
// EMFILE, and m is the message; nil if it is invalid.
func (c *Channel) ReceiveFile() (m Message, fd int, err error) {
	n, fd, err := c.receive()
	if errors.Is(err, unix.ECONNRESET) {
		// The other side closed before it had read everything. The kernel reports that once,
		// before the messages that are still queued.
		n, fd, err = c.receive()
	}
	switch {
	case err == io.EOF:
		return nil, -1, io.EOF
	case errors.Is(err, unix.EMFILE):
		m, _ = Decode(c.buf[:n])
		return m, -1, fmt.Errorf("receive: %w", err)
	case err != nil:
		return nil, -1, fmt.Errorf("receive: %w", err)
	}
	if n > MaxMessage {
		err = fmt.Errorf("receive on control channel: message exceeds %d bytes", MaxMessage)
	} else {
		m, err = Decode(c.buf[:n])
	}
	if err != nil {
		Discard(fd)
		fd = -1
	}
	return m, fd, err
}

// receive reads one message into the buffer.
func (c *Channel) receive() (n, fd int, err error) {
	c.taking.Lock()
	c.handling = false // even if the deadline has passed
	c.taking.Unlock()
	waited := c.raw.Read(func(socket uintptr) bool {
		var fds []int
		c.taking.Lock()
		n, fds, err = receiveMessage(int(socket), c.buf[:], 1, unix.MSG_DONTWAIT)
		c.handling = err == nil && n > 0
		c.taking.Unlock()
		if fd = -1; len(fds) > 0 {
			fd = fds[0]
		}
		return err != unix.EAGAIN
	})
	switch {
	case errors.Is(waited, os.ErrDeadlineExceeded):
		return 0, -1, waited
	case waited != nil: // the runtime's error for it is not exported
		return 0, -1, os.ErrClosed
	}
	if err == nil && n == 0 {
		Discard(fd)
		return 0, -1, io.EOF
	}
	return n, fd, err
}

// Pending reports whether there is a message that has not been received, or that may not have been
// handled yet: whoever has received it has not called Receive again.
func (c *Channel) Pending() (pending bool) {
	err := c.raw.Control(func(fd uintptr) {
		c.taking.Lock()
		defer c.taking.Unlock()
		pending = c.handling || Waiting(int(fd))
	})
	return err == nil && pending
}

// SyscallConn returns a raw connection to this end's socket.
func (c *Channel) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// Empty shuts the channel down and discards the unread messages. The master calls it before
// Close, which could otherwise block on descriptors in the queue.
func (c *Channel) Empty() {
	_ = c.raw.Control(func(fd uintptr) { Empty(int(fd)) }) // an error means that the channel is closed
}

// Close closes this end. The other side receives io.EOF.
func (c *Channel) Close() error {
	return c.file.Close()
}

// SetReadDeadline makes Receive fail with os.ErrDeadlineExceeded at t, in case the other side
// is dead but another process holds its end open.
func (c *Channel) SetReadDeadline(t time.Time) error {
	return c.file.SetReadDeadline(t)
}
