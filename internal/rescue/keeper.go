package rescue

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// keeperName is the name of a keeper in ps and top. It differs from the worker's, so
// that killing workers by name spares keepers.
const keeperName = "phalanx-keeper"

// errKilled means that a keeper has exited before it was ready.
var errKilled = errors.New("it was killed before it was ready")

// Keep starts a keeper: a child of this process's parent that shares the descriptor table of this
// process, and sends the descriptors that it is asked for on lifeline (see [Lifeline]). It exits
// when the master closes the other end. Keep returns when the keeper has greeted the master. A
// worker calls it first of all: its memory is still small, and in its sandbox it could not.
func Keep(lifeline int) error {
	started, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("start keeper: %w", err)
	}
	defer unix.Close(started)
	pid, errno := cloneKeeper(unix.CLONE_PARENT, lifeline, started, newKeeperBuffer(), arguments())
	if errno != 0 {
		return fmt.Errorf("start keeper: %w", errno)
	}
	if err := awaitKeeper(int(pid), started); err != nil {
		return fmt.Errorf("wait for keeper %d: %w", pid, err)
	}
	return nil
}

// awaitKeeper waits until a keeper has written to started, or has exited.
func awaitKeeper(pid, started int) error {
	timeout := -1                         // the master limits the wait
	exited, err := unix.PidfdOpen(pid, 0) // -1 if the kernel has no pidfds: poll ignores it
	switch err {
	case nil:
		defer unix.Close(exited)
	case unix.ESRCH:
		timeout = 0 // it has exited already, and was reaped
	}
	events := []unix.PollFd{{Fd: int32(started), Events: unix.POLLIN}, {Fd: int32(exited), Events: unix.POLLIN}}
	for err = unix.EINTR; err == unix.EINTR; {
		_, err = unix.Poll(events, timeout)
	}
	if err == nil && events[0].Revents == 0 {
		err = errKilled
	}
	return err
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

// keeperBuffer is the memory in which a keeper writes its answers. All pointers are set before the
// keeper is started, because it has no runtime for the write barrier of a pointer.
type keeperBuffer struct {
	name   [16]byte
	one    uint64 // 1, to write to an eventfd
	answer unix.Msghdr
	parts  [2]unix.Iovec // status and numbers
	status int32
	rights unix.Cmsghdr         // header of the message's descriptors
	asked  [ipc.MaxRights]int32 // descriptor numbers of a question, then of its answer
}

func newKeeperBuffer() *keeperBuffer {
	d := &keeperBuffer{one: 1}
	copy(d.name[:], keeperName)
	d.parts[0].Base = (*byte)(unsafe.Pointer(&d.status))
	d.parts[0].SetLen(int(unsafe.Sizeof(d.status)))
	d.parts[1].Base = (*byte)(unsafe.Pointer(&d.asked))
	d.answer.Iov, d.answer.Iovlen = &d.parts[0], 2
	d.answer.Control = (*byte)(unsafe.Pointer(&d.rights))
	d.rights.Level, d.rights.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	return d
}

// cloneKeeper calls clone(2). The child, which exits at once without a lifeline (-1), has only
// this thread, so it must not call into Go's runtime. All signals are blocked meanwhile, and stay
// blocked in the child.
//
//go:nosplit
//go:norace
//go:noinline
func cloneKeeper(flags uintptr, lifeline, started int, d *keeperBuffer, args []byte) (pid uintptr, errno syscall.Errno) {
	flags |= unix.CLONE_FILES | uintptr(unix.SIGCHLD)
	all, old := ^uint64(0), uint64(0)
	var own [16]byte // this thread's name; the child must have its name from the start
	syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_GET_NAME, uintptr(unsafe.Pointer(&own)), 0, 0, 0, 0)
	syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&d.name)), 0, 0, 0, 0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		syscall.RawSyscall(syscall.SYS_SETPGID, 0, 0, 0)
		for i := range args {
			args[i] = 0
			if i < len(keeperName) && i < len(args)-1 {
				args[i] = d.name[i]
			}
		}
		if d.send(lifeline, 0) { // the greeting
			syscall.RawSyscall(syscall.SYS_WRITE, uintptr(started), uintptr(unsafe.Pointer(&d.one)), 8)
			d.serve(lifeline)
		}
		for {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&own)), 0, 0, 0, 0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	return pid, errno
}

// shares returns why no process can share this one's table of descriptors: emulators of
// Linux may know nothing between threads and forks. It starts one that exits at once.
func shares() error {
	pid, errno := cloneKeeper(0, -1, -1, newKeeperBuffer(), nil)
	switch errno {
	case syscall.EINVAL, syscall.ENOSYS, syscall.EPERM:
		return fmt.Errorf("start keeper: %w", errno)
	case 0:
		for err := error(unix.EINTR); err == unix.EINTR; { // process 1 may have reaped it
			_, err = unix.Wait4(int(pid), nil, 0, nil)
		}
	}
	return nil // others may be over when a worker starts its keeper
}

// serve answers questions until the master closes its end. It leaves out closed descriptors: the
// kernel would refuse the whole message.
//
//go:nosplit
//go:norace
func (d *keeperBuffer) serve(lifeline int) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(lifeline), uintptr(unsafe.Pointer(&d.asked)), unsafe.Sizeof(d.asked))
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return
		}
		open := 0
		for i := 0; i < int(n/4) && i < len(d.asked); i++ {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(d.asked[i]), unix.F_GETFD, 0); errno == 0 {
				d.asked[open] = d.asked[i]
				open++
			}
		}
		if !d.send(lifeline, open) {
			return
		}
	}
}

// send sends the first n descriptors of asked with their numbers, or the error with which that
// fails. It returns false if the lifeline has ended.
//
//go:nosplit
//go:norace
func (d *keeperBuffer) send(lifeline, n int) bool {
	for d.status = 0; ; n = 0 {
		d.parts[1].Len = uint64(4 * n)
		d.answer.Controllen = 0
		if n > 0 {
			d.rights.Len = uint64(unsafe.Sizeof(d.rights)) + uint64(4*n)
			d.answer.Controllen = d.rights.Len
		}
		// RawSyscall needs more stack than a build without optimizations has here.
		_, _, errno := syscall.RawSyscall6(syscall.SYS_SENDMSG, uintptr(lifeline), uintptr(unsafe.Pointer(&d.answer)), unix.MSG_NOSIGNAL, 0, 0, 0)
		if errno == 0 || n == 0 {
			return errno == 0
		}
		d.status = int32(errno)
	}
}
