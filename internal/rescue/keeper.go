package rescue

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keeperName is what a keeper is called in ps and top, so that who kills
// workers by name does not meet it.
const keeperName = "phalanx-keeper"

// Keep makes a keeper: a child of this process's parent that shares its table
// of descriptors, does nothing, and ends when lifeline, the reading end of a
// pipe whose other end the master alone has, is at its end. It is made by a
// worker at its very start, when its memory is small, and again when one has
// died.
func (m *Memory) Keep(lifeline int) error {
	h := m.header()
	var name [16]byte
	copy(name[:], keeperName)
	args := arguments()
	pid, errno := cloneKeeper(lifeline, &h.made, &name, args)
	if errno != 0 {
		return fmt.Errorf("make a keeper of the descriptors: %w", errno)
	}
	atomic.StoreInt32(&h.keeper, int32(pid))
	atomic.StoreInt32(&h.made, 0)
	return nil
}

// arguments is the memory of this process's command line, in which a keeper
// writes its name instead. The kernel has put them one behind the other.
func arguments() []byte {
	if len(os.Args) == 0 || len(os.Args[0]) == 0 {
		return nil
	}
	first := unsafe.Pointer(unsafe.StringData(os.Args[0]))
	n := 0
	for _, a := range os.Args {
		if len(a) > 0 && uintptr(unsafe.Pointer(unsafe.StringData(a))) != uintptr(first)+uintptr(n) {
			break // somebody has changed os.Args
		}
		n += len(a) + 1
	}
	return unsafe.Slice((*byte)(first), n)
}

// cloneKeeper calls clone(2) without a memory of its own for the child, which
// therefore must not run any of Go's runtime: no other thread is there in it.
// All signals are blocked meanwhile, and stay so in the child.
//
//go:nosplit
//go:norace
//go:noinline
func cloneKeeper(lifeline int, made *int32, name *[16]byte, args []byte) (pid uintptr, errno syscall.Errno) {
	const flags = unix.CLONE_FILES | unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | uintptr(unix.SIGCHLD)
	all, old := ^uint64(0), uint64(0)
	var own [16]byte // of this thread; the child has the name from the first moment
	syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_GET_NAME, uintptr(unsafe.Pointer(&own)), 0, 0, 0, 0)
	syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0, 0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, flags, 0, uintptr(unsafe.Pointer(made)), 0, 0, 0)
	if errno == 0 && pid == 0 {
		syscall.RawSyscall(syscall.SYS_SETPGID, 0, 0, 0)
		for i := range args {
			args[i] = 0
			if i < len(keeperName) && i < len(args)-1 {
				args[i] = name[i]
			}
		}
		for {
			var b byte
			n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(lifeline), uintptr(unsafe.Pointer(&b)), 1)
			if n == 0 || errno != 0 && errno != syscall.EINTR {
				syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
	}
	syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&own)), 0, 0, 0, 0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	return pid, errno
}
