package sandbox

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowed is a system call that is allowed with any arguments, or if they pass all tests. A
// call may occur several times in a list.
type allowed struct {
	call  int
	tests []test
}

// test tests the lower 32 bits of an argument, which the kernel uses for numbers, flags and
// descriptors. Exactly one field besides arg is set.
type test struct {
	arg  uint32   // index of the argument, from 0
	is   []uint32 // it must be one of these
	not  uint32   // none of these bits may be set
	set  uint32   // this bit must be set; otherwise the call fails with EPERM
	null bool     // it must be a null pointer, in all 64 bits
}

// Offsets in struct seccomp_data, on little-endian machines (seccomp(2)).
const (
	offsetCall = 0
	offsetArch = 4
	offsetArgs = 16 // 8 bytes each
)

// program is a filter in classic BPF.
type program []unix.SockFilter

func (p *program) load(offset uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
}

func (p *program) end(action uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
}

// jump skips yes instructions if the test of the loaded value holds, else no instructions.
func (p *program) jump(test uint16, k uint32, yes, no int) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)})
}

// assemble returns a filter that allows the calls and kills the process at any other one, also
// at calls of another architecture or of amd64's x32 ABI, whose numbers differ.
func assemble(arch uint32, calls []allowed) program {
	var p program
	p.load(offsetArch)
	p.jump(unix.BPF_JEQ, arch, 1, 0)
	p.end(unix.SECCOMP_RET_KILL_PROCESS)
	p.load(offsetCall)
	for _, c := range calls {
		block := c.block()
		p.jump(unix.BPF_JEQ, uint32(c.call), 0, len(block))
		p = append(p, block...)
	}
	p.end(unix.SECCOMP_RET_KILL_PROCESS)
	return p
}

// block returns the instructions that allow a call if its tests pass, or else load its number
// again.
func (c allowed) block() program {
	var rest program
	rest.end(unix.SECCOMP_RET_ALLOW)
	for _, t := range slices.Backward(c.tests) {
		rest = append(t.code(len(rest)), rest...)
	}
	if len(c.tests) > 0 {
		rest.load(offsetCall)
	}
	return rest
}

// code returns the instructions of a test. If it fails, they skip the following instructions, or
// make the call fail.
func (t test) code(following int) program {
	var p program
	low := offsetArgs + 8*t.arg
	p.load(low)
	switch {
	case t.null:
		p.jump(unix.BPF_JEQ, 0, 0, 2+following)
		p.load(low + 4)
		p.jump(unix.BPF_JEQ, 0, 0, following)
	case t.not != 0:
		p.jump(unix.BPF_JSET, t.not, following, 0)
	case t.set != 0:
		p.jump(unix.BPF_JSET, t.set, 1, 0)
		p.end(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	}
	for i, v := range t.is {
		left := len(t.is) - 1 - i
		if left > 0 {
			p.jump(unix.BPF_JEQ, v, left, 0)
		} else {
			p.jump(unix.BPF_JEQ, v, 0, following)
		}
	}
	return p
}

// filter installs a filter for all threads.
func filter(calls []allowed) error {
	p := assemble(arch, calls)
	list := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&list)))
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS, unix.EINVAL:
		return fmt.Errorf("seccomp: the kernel cannot filter system calls: %w", errno)
	}
	return fmt.Errorf("seccomp: %w", errno)
}
