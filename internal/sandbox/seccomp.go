package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowed is a system call that may be made: with any arguments, or if one of them
// passes a test of its lower 32 bits.
type allowed struct {
	call int
	arg  uint32   // which argument, from 0, is tested
	is   []uint32 // one of these it must be; nil: anything
	not  uint32   // none of these bits may be set in it
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

// jump skips so many instructions if the test of the loaded number holds, else so many.
func (p *program) jump(test uint16, k uint32, yes, no int) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)})
}

// assemble makes a filter that allows those calls and ends the process at any other:
// also at one of another architecture, or of amd64's x32, where the numbers mean
// other calls.
func assemble(arch uint32, calls []allowed) program {
	var p program
	p.load(offsetArch)
	p.jump(unix.BPF_JEQ, arch, 1, 0)
	p.end(unix.SECCOMP_RET_KILL_PROCESS)
	p.load(offsetCall)
	for _, c := range calls {
		tests := c.tests()
		p.jump(unix.BPF_JEQ, uint32(c.call), 0, len(tests))
		p = append(p, tests...)
	}
	p.end(unix.SECCOMP_RET_KILL_PROCESS)
	return p
}

// tests are the instructions that decide about a call whose number fits.
func (c allowed) tests() program {
	var p program
	if c.is != nil || c.not != 0 {
		p.load(offsetArgs + 8*c.arg)
		for i, v := range c.is {
			p.jump(unix.BPF_JEQ, v, len(c.is)-i, 0) // over the others and the end
		}
		if c.not != 0 {
			p.jump(unix.BPF_JSET, c.not, 0, 1)
		}
		p.end(unix.SECCOMP_RET_KILL_PROCESS)
	}
	p.end(unix.SECCOMP_RET_ALLOW)
	return p
}

// filter installs the filter for all threads.
func filter() error {
	p := assemble(arch, calls())
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
