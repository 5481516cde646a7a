// Package sandbox permanently confines the calling process: [Identity.Become] changes its user
// and drops capabilities, and [Confine] restricts it to the files of a few directories and a
// short list of system calls.
//
// Restrictions apply to all threads and child processes. A process calls these functions
// early, in this order: it opens what it needs, then changes the user, and filters system
// calls last, since the filter forbids everything that this package does.
package sandbox

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Confine restricts this process: it can read files below the directories, given by
// descriptors, and open nothing else by path; it cannot connect, bind, listen or execute.
// A system call that a running server does not need kills it with SIGSYS. What the kernel
// does not support is in the error, one line each; the rest is in force.
func Confine(directories ...int) error { return confine(directories, reading, calls()) }

// ConfineKeeping is Confine for a process that keeps files in the directories: it can also
// write, rename and remove them there.
func ConfineKeeping(directories ...int) error {
	return confine(directories, keeping, append(calls(), keepingCalls()...))
}

func confine(directories []int, access uint64, calls []allowed) error {
	first := setCapabilities(nil)
	if err := noNewPrivileges(); err != nil {
		return errors.Join(first, err) // the rest requires it
	}
	return errors.Join(first, limit(), restrict(directories, access), filter(calls))
}

// noNewPrivileges prevents all threads from getting privileges from set-user-ID programs and
// file capabilities.
func noNewPrivileges() error {
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return nil
}

// limit sets resource limits (setrlimit(2)): no core dumps, which would contain keys and
// clients' data, and no files larger than a worker writes for the master.
func limit() error {
	const largest = 64 << 20
	limits := []struct {
		resource int
		most     uint64
	}{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_MEMLOCK, 0}, {unix.RLIMIT_MSGQUEUE, 0}, {unix.RLIMIT_FSIZE, largest}}
	for _, l := range limits {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("resource limits: %w", err)
		}
	}
	return nil
}

// errCgo is returned in a program built with cgo or the race detector.
var errCgo = errors.New("cannot be changed in all threads of a program with cgo")

// allThreads makes a system call in every thread of the process.
//
//go:uintptrescapes
func allThreads(call, a, b, c uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(call, a, b, c)
	switch {
	case errno == 0:
		return nil
	case errors.Is(errno, errors.ErrUnsupported):
		return errCgo
	}
	return errno
}
