package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The sockets of one address are a group, among which the kernel chooses for
// each new connection: by a hash, or as a program says that answers with the
// number of a socket in the group. The numbers are those of the order in which
// the sockets began to listen; when one is closed, the last takes its number
// (reuseport_detach_sock in the kernel). A number beyond the last socket means
// the hash.

// Steer sends new connections to these slots alone; with none, or all sockets
// that there are, the kernel chooses among all. What has begun elsewhere goes
// on there.
func (s *Set) Steer(slots []int) error {
	var numbers []int
	for _, slot := range slots {
		numbers = append(numbers, slices.Index(s.group, s.files[slot]))
	}
	if len(s.group) < 2 {
		return nil
	}
	fd := int(s.group[0].Fd())
	if len(numbers) == 0 || len(numbers) == len(s.group) {
		// There may be no program: that is what is wanted.
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

// steering is the program that answers with one of the numbers by chance. The
// hash of a packet would be zero where no network card has computed it.
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

// Passed returns the descriptor of the socket that another process has opened and
// keeps, 0 if there is none.
func (s *Set) Passed() int {
	if s.passed == nil {
		return 0
	}
	return int(s.passed.Fd())
}

// Export returns the sockets' descriptors in the kernel's order, each with its
// slot.
func (s *Set) Export() (fds, slots []int) {
	export := func(f *os.File) {
		if slot := slices.Index(s.files, f); slot >= 0 {
			fds, slots = append(fds, int(f.Fd())), append(slots, slot)
		}
	}
	for _, f := range s.group {
		export(f)
	}
	for _, f := range s.files {
		if !slices.Contains(s.group, f) { // it shares the first socket
			export(f)
		}
	}
	return fds, slots
}

// Grow opens a socket for one slot more and returns its number.
func (s *Set) Grow() (slot int, err error) {
	if err = s.join(); err != nil {
		return -1, explain(s.cfg, err)
	}
	return len(s.files) - 1, nil
}

// Shrink closes the socket of the last slot; after Close there is none. Call it when
// no other process has it open: the kernel counts the others anew when the last copy
// is closed.
func (s *Set) Shrink() error {
	if len(s.files) == 0 {
		return nil
	}
	f := s.files[len(s.files)-1]
	s.files = s.files[:len(s.files)-1]
	if slices.Contains(s.group, f) {
		s.leave(f)
	}
	return f.Close()
}

// leave keeps the order that the kernel has after a socket was closed.
func (s *Set) leave(f *os.File) {
	last := len(s.group) - 1
	s.group[slices.Index(s.group, f)] = s.group[last]
	s.group = s.group[:last]
}

// Close closes the set's copies. A worker that still has its own continues to accept;
// the accept queues of the others are reset.
func (s *Set) Close() error {
	var errs []error
	for _, f := range s.group {
		errs = append(errs, f.Close())
	}
	for _, f := range s.files {
		if !slices.Contains(s.group, f) { // it shares the first socket
			errs = append(errs, f.Close())
		}
	}
	s.files, s.group = nil, nil
	return errors.Join(errs...)
}
