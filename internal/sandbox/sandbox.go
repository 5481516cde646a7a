// Package sandbox confines the process that calls it, for good: another user, no
// capability ([Identity.Become]), and then nothing but the files of one directory
// and a short list of system calls ([Confine]).
//
// What a process may not do from then on holds for all its threads, and for what it
// starts. So the calls here are made early, while there are few, and in this order:
// what has to be opened is opened first, then the user changes, and the list of
// system calls, which forbids all that is done here, comes last.
package sandbox

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Report says what could not be done, in the order in which it was tried; "" for
// nothing.
type Report []error

// String returns what is missing, for a log.
func (r Report) String() string {
	var text []string
	for _, err := range r {
		text = append(text, err.Error())
	}
	return strings.Join(text, "; ")
}

func (r *Report) add(err error) {
	if err != nil {
		*r = append(*r, err)
	}
}

// Confine lets this process read what is beneath the directories, of which it gets
// descriptors, and nothing else by a path; connect, bind and listen nowhere;
// execute nothing; and make the system calls of a server that has started. Another
// one ends the process with SIGSYS. What the kernel lacks is in the report, and the
// rest is done all the same.
func Confine(directories ...int) Report { return confine(directories, reading, calls()) }

// ConfineKeeping does the same with a process that keeps files in the directories, writes,
// renames and removes them there, and reads nothing else by a path.
func ConfineKeeping(directories ...int) Report {
	return confine(directories, keeping, append(calls(), keepingCalls()...))
}

func confine(directories []int, access uint64, calls []allowed) Report {
	var missing Report
	missing.add(setCapabilities(nil))
	if err := noNewPrivileges(); err != nil {
		return append(missing, err) // the others do not work without it
	}
	missing.add(limit())
	missing.add(restrict(directories, access))
	missing.add(filter(calls))
	return missing
}

// noNewPrivileges keeps set-user-ID programs and file capabilities from giving
// privileges to any thread.
func noNewPrivileges() error {
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return nil
}

// limit sets the resource limits (setrlimit(2)): no core dump, which would have the
// memory of clients and keys, and no file larger than what a worker writes for its
// master.
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

// errCgo is why a program built with cgo, or for the race detector, cannot be confined.
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
