package listen

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RefuseNew makes a listening socket drop packets that would begin a connection.
// Handshakes under way, connections whose first bytes are awaited (TCP_DEFER_ACCEPT)
// and those in the accept queue are not affected. So a worker that accepts until no
// more arrive leaves none to be reset when the socket is closed.
//
// A client that connects meanwhile gets no reply, retries a second later, and then
// finds the port closed. The filter belongs to the socket, not to the descriptor: it
// applies to all copies until it is detached.
func RefuseNew(fd int) error {
	// The packet begins with its TCP header (tcp_filter in the kernel); byte
	// 13 has the flags (RFC 9293 §3.1). Flags beside SYN and ACK do not
	// count: a client that offers ECN sets two more.
	const flags, syn, ack = 13, 0x02, 0x10
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},           // drop
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff_ffff}, // keep all of it
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("refuse new connections: %w", err)
	}
	return nil
}

// admitNew ends what [RefuseNew] has begun.
func admitNew(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("detach filter: %w", err)
	}
	return nil
}

// Refusing reports whether any process has called [RefuseNew] for the socket: then no
// worker will take it over. If that is unknown, it returns true.
func Refusing(fd int) bool {
	// With no room for it, the kernel tells how many instructions the filter
	// has (sk_get_filter); 0 is none.
	var n uint32
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER, 0,
		uintptr(unsafe.Pointer(&n)), 0)
	return errno != 0 || n > 0
}
