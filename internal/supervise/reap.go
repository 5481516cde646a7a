package supervise

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Process 1 of a container becomes the parent of every orphaned process, and must reap it, or it
// stays a zombie. It must not reap children that the pool has started: these are waited for
// elsewhere.

// Reap reaps exited children of this process, up to the first one that is ours. That one will be
// reaped in a moment by whoever waits for it; then Reap must be called again.
func Reap(ours func(pid int) bool) error {
	return reap(ours, peek, collect)
}

func reap(ours func(pid int) bool, peek func() (int, error), collect func(pid int) error) error {
	for {
		pid, err := peek()
		if err != nil || pid == 0 || ours(pid) {
			return err
		}
		if err := collect(pid); err != nil {
			return err
		}
	}
}

// ended is the beginning of the kernel's siginfo_t as waitid(2) fills it. The union after the
// first three fields is aligned like a pointer.
type ended struct {
	signo, errno, code int32
	child              struct {
		_      [0]uintptr
		pid    int32
		_      uint32 // of its user
		status int32  // exit code or signal, as code says
	}
	_ [128]byte // room for the rest
}

// exitedNormally is CLD_EXITED, a code of ended.
const exitedNormally = 1

// waitid is waitid(2); usage may be nil.
func waitid(idType, id, options int, usage *unix.Rusage) (e ended, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Waitid(idType, id, (*unix.Siginfo)(unsafe.Pointer(&e)), options, usage)
	}
	return e, err
}

// peek returns the pid of an exited child, which it does not reap; 0: there is none.
func peek() (int, error) {
	e, err := waitid(unix.P_ALL, 0, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	switch err {
	case nil, unix.ECHILD: // no children at all
		return int(e.child.pid), nil
	}
	return 0, fmt.Errorf("look for exited children: %w", err)
}

// collect reaps one child.
func collect(pid int) error {
	_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("wait for child %d: %w", pid, err)
	}
	return nil
}
