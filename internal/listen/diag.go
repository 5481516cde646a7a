package listen

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// This file gets the accept queue of a unix socket, which has no TCP_INFO, from sock_diag(7).

const (
	diagShowQueue = 0x10 // UDIAG_SHOW_RQLEN
	diagQueue     = 4    // UNIX_DIAG_RQLEN: the queue's length and its limit, 4 bytes each
	diagHeader    = 16   // struct nlmsghdr
	diagMessage   = 16   // struct unix_diag_msg
)

var errNoAnswer = errors.New("no reply from sock_diag")

// unixQueue returns the length and the limit of the accept queue of a unix socket. It fails if
// netlink is forbidden, or the kernel lacks the module.
func unixQueue(f *os.File) (waiting, most int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, diagRequest(uint32(st.Ino)), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, 0, err
	}
	var reply [512]byte
	n, _, err := unix.Recvfrom(fd, reply[:], unix.MSG_DONTWAIT) // the reply is queued in sendto(2)
	if err != nil {
		return 0, 0, err
	}
	return diagReply(reply[:n])
}

// diagRequest returns a request (struct unix_diag_req) for the socket with the inode.
func diagRequest(inode uint32) []byte {
	const whichever = 1<<32 - 1 // cookie or state
	b := binary.NativeEndian.AppendUint32(nil, diagHeader+24)
	b = binary.NativeEndian.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence number and port
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	for _, n := range []uint32{whichever, inode, diagShowQueue, whichever, whichever} {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return b
}

// diagReply returns the queue from a reply.
func diagReply(b []byte) (waiting, most int, err error) {
	if len(b) < diagHeader+diagMessage || binary.NativeEndian.Uint16(b[4:]) != unix.SOCK_DIAG_BY_FAMILY {
		return 0, 0, errNoAnswer
	}
	for b = b[diagHeader+diagMessage:]; len(b) >= unix.SizeofRtAttr; {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < unix.SizeofRtAttr || size > len(b) {
			break
		}
		if kind == diagQueue && size >= unix.SizeofRtAttr+8 {
			return int(binary.NativeEndian.Uint32(b[4:])), int(binary.NativeEndian.Uint32(b[8:])), nil
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return 0, 0, errNoAnswer
}
