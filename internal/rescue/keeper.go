package rescue

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keeperName is the name of a keeper in ps and top. It differs from the worker's, so
// that killing workers by name spares keepers.
const keeperName = "phalanx-keeper"

// Keep starts a keeper: a child of this process's parent that shares this
// process's table of descriptors and does nothing. It exits at end-of-file on
// lifeline, the reading end of a pipe whose other end only the master holds. A
// worker starts one first of all, while its memory is small: in its sandbox it could not.
func (m *Memory) Keep(lifeline int) error {
	h := m.header()
	var name [16]byte
	copy(name[:], keeperName)
	args := arguments()
	pid, errno := cloneKeeper(lifeline, &h.made, &name, args)
	if errno != 0 {
		return fmt.Errorf("start keeper: %w", errno)
	}
	atomic.StoreInt32(&h.keeper, int32(pid))
	atomic.StoreInt32(&h.made, 0)
	return nil
}

// arguments returns the memory of this process's command line, which a keeper
// overwrites with its name. The kernel stores the arguments back to back.
func arguments() []byte {
	if len(os.Args) == 0 || len(os.Args[0]) == 0 {
		return nil
	}
	first := unsafe.Pointer(unsafe.StringData(os.Args[0]))
	n := 0
	for _, a := range os.Args {
		if len(a) > 0 && uintptr(unsafe.Pointer(unsafe.StringData(a))) != uintptr(first)+uintptr(n) {
			break // os.Args has been changed
		}
		n += len(a) + 1
	}
	return unsafe.Slice((*byte)(first), n)
}

// cloneKeeper calls clone(2). The child has only this thread, so it must not call
// into Go's runtime. All signals are blocked meanwhile, and stay blocked in the
// child.
//
//go:nosplit
//go:norace
//go:noinline
func cloneKeeper(lifeline int, made *int32, name *[16]byte, args []byte) (pid uintptr, errno syscall.Errno) {
	const flags = unix.CLONE_FILES | unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | uintptr(unix.SIGCHLD)
	all, old := ^uint64(0), uint64(0)
	var own [16]byte // this thread's name; the child must have its name from the start
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
