package listen

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// The sockets of one address are a SO_REUSEPORT group. For each new connection the kernel
// chooses a socket by a hash, or by a BPF program that returns the number of a socket. Sockets
// are numbered in the order in which they began to listen; when one is closed, the last takes
// its number (reuseport_detach_sock in the kernel). A number beyond the last socket means the
// hash.

// steer is [Set.Steer] for one address.
func (s *sockets) steer(slots []int) error {
	if len(s.group) < 2 {
		return nil
	}
	var numbers []int
	for _, slot := range slots {
		numbers = append(numbers, slices.Index(s.group, s.files[slot]))
	}
	fd := int(s.group[0].Fd())
	if len(numbers) == 0 || len(numbers) == len(s.group) {
		// ENOENT: no program is attached.
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
		switch err {
		case nil, unix.ENOENT:
			return nil
		case unix.ENOPROTOOPT: // before Linux 5.3: a program for all does the same
		default:
			return fmt.Errorf("steer new connections to all: %w", err)
		}
		for number := range s.group {
			numbers = append(numbers[:number], number)
		}
	}
	program := steering(numbers)
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("steer new connections to %d of %d sockets: %w", len(numbers), len(s.group), err)
	}
	return nil
}

// steering returns a program that returns one of the numbers at random. The hash of a packet
// is not used, because it is zero unless the network card has computed it.
func steering(numbers []int) []unix.SockFilter {
	const adRandom = 56                    // SKF_AD_RANDOM
	ancillary := int32(-0x1000 + adRandom) // from SKF_AD_OFF on
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(ancillary)},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(len(numbers))},
	}
	for i, number := range numbers {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(i), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(number)})
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(numbers[0])})
}
