package listen

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RefuseNew makes a listening socket drop SYN packets. Handshakes under way, connections whose
// first bytes are awaited (TCP_DEFER_ACCEPT) and those in the accept queue are not affected.
// So a worker can empty the queue, and closing the socket resets no connection.
//
// A client that connects in the meantime gets no reply, retries after a second, and then finds
// the port closed. The filter belongs to the socket, not to the descriptor: it applies to all
// copies until it is detached.
func RefuseNew(fd int) error {
	// The packet begins with its TCP header (tcp_filter in the kernel); byte 13 has the flags
	// (RFC 9293 §3.1). Flags other than SYN and ACK are ignored: a client that offers ECN sets
	// two more.
	const flags, syn, ack = 13, 0x02, 0x10
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},           // drop
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff_ffff}, // accept
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("refuse new connections: %w", err)
	}
	return nil
}

// admitNew undoes [RefuseNew].
func admitNew(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("detach filter: %w", err)
	}
	return nil
}

// Refusing reports whether any process has called [RefuseNew] for the socket, so that no
// worker will take it over; true if unknown.
func Refusing(fd int) bool {
	// With length 0, the kernel returns the number of the filter's instructions
	// (sk_get_filter); 0: no filter.
	var n uint32
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER, 0,
		uintptr(unsafe.Pointer(&n)), 0)
	return errno != 0 || n > 0
}
