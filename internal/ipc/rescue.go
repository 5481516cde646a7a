package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Over a rescue channel the master sends the connections of a dead worker to its successor. It
// is a SOCK_SEQPACKET socketpair. The first message carries the dead worker's records, each
// other one some of its connections.

// rescueTimeout is the time limit in seconds for sending or receiving a message. Both sides
// block.
const rescueTimeout = 10

// Kept is a connection that the keeper has kept open after the death of its worker.
type Kept struct {
	Number int // its descriptor number in the dead worker
	Socket int // the descriptor of its socket
	File   int // the descriptor of the file being sent; -1: none
}

// MaxKept is the largest number of connections in a message, since each may have a file.
const MaxKept = MaxRights / 2

// withFile is set in a number if a file follows the socket.
const withFile = 1 << 31

// RescueChannel creates a rescue channel, both ends close-on-exec. The master's end blocks in
// sends, and the worker's in receives, for at most 10 seconds.
func RescueChannel() (master, worker int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("create rescue channel: %w", err)
	}
	limit := unix.Timeval{Sec: rescueTimeout}
	err = errors.Join(unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
		unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	if err != nil {
		return -1, -1, errors.Join(fmt.Errorf("create rescue channel: %w", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return fds[0], fds[1], nil
}

// SendRecords sends the descriptor of the dead worker's records. It is the first message.
func SendRecords(channel, records int) error {
	return sendRights(channel, []byte{0}, []int{records})
}

// ReceiveRecords receives the descriptor of the records, which the caller owns.
func ReceiveRecords(channel int) (int, error) {
	var p [1]byte
	_, fds, err := receiveMessage(channel, p[:], 1, 0)
	if err == nil && len(fds) != 1 {
		err = fmt.Errorf("%d descriptors instead of the records of a dead worker", len(fds))
		Discard(fds...)
	}
	if err != nil {
		return -1, fmt.Errorf("receive records: %w", err)
	}
	return fds[0], nil
}

// SendKept sends at most MaxKept connections. The caller keeps the descriptors.
func SendKept(channel int, kept []Kept) error {
	var p []byte
	var fds []int
	for _, k := range kept {
		number := uint32(k.Number)
		fds = append(fds, k.Socket)
		if k.File >= 0 {
			number |= withFile
			fds = append(fds, k.File)
		}
		p = binary.BigEndian.AppendUint32(p, number)
	}
	return sendRights(channel, p, fds)
}

// ReceiveKept receives some connections, whose descriptors the caller owns. lost is the number
// of connections that were dropped because this process has no free descriptors. The error is
// io.EOF after the last connection.
func ReceiveKept(channel int) (kept []Kept, lost int, err error) {
	var p [4 * MaxKept]byte
	got, err := Receive(channel, p[:], 0)
	if err != nil {
		return nil, 0, fmt.Errorf("receive kept connections: %w", err)
	}
	n, rest := got.N, got.FDs
	if n == 0 && len(rest) == 0 && !got.Truncated {
		return nil, 0, io.EOF
	}
	for q := p[:n]; len(q) >= 4 && len(rest) > 0; q = q[4:] {
		number := binary.BigEndian.Uint32(q)
		k := Kept{Number: int(number &^ withFile), Socket: rest[0], File: -1}
		if number&withFile != 0 {
			if len(rest) < 2 {
				break
			}
			k.File, rest = rest[1], rest[1:]
		}
		kept, rest = append(kept, k), rest[1:]
	}
	switch {
	case got.Truncated:
		Discard(rest...)
		return kept, n/4 - len(kept), nil
	case len(rest) > 0 || 4*len(kept) != n:
		Discard(got.FDs...)
		return nil, 0, fmt.Errorf("receive kept connections: %d bytes do not match %d descriptors", n, len(got.FDs))
	}
	return kept, 0, nil
}

// sendRights sends descriptors. It retries while the kernel's limit of descriptors in flight
// is reached.
func sendRights(channel int, p []byte, fds []int) error {
	for until := time.Now().Add(rescueTimeout * time.Second); ; {
		_, err := unix.SendmsgN(channel, p, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
		case (err == unix.ETOOMANYREFS || err == unix.ENOBUFS || err == unix.ENOMEM) && time.Now().Before(until):
			time.Sleep(time.Millisecond)
		default:
			return fmt.Errorf("send on rescue channel: %w", err)
		}
	}
}
