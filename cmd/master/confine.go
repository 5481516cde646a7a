package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/options"
	"phalanx/internal/rescue"
	"phalanx/internal/sandbox"
)

// ownDescriptors sets close-on-exec on all inherited descriptors except standard input, output
// and error. Child processes get descriptors only explicitly.
func ownDescriptors() {
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // since Linux 5.11
}

// identity returns the user of the workers; "": the master's.
func identity(o options.Options) (string, error) {
	if !sandbox.IsRoot() {
		if o.User != "" {
			return "", exitcode.New(exitcode.Config, fmt.Sprintf("--user %s: only root can start workers as another user; leave it out, or start master as root", o.User), nil)
		}
		return "", nil
	}
	id, err := sandbox.LookUp(string(o.User))
	if err != nil {
		return "", exitcode.New(exitcode.Config, fmt.Sprintf("--user %s: %v", o.User, err), err)
	}
	return id.String(), nil
}

// reduced is the result of reduce.
type reduced struct {
	ambient []int // capabilities for the new binary in an upgrade
	err     error
}

// reduce drops the capabilities that this process and its workers never need, if it runs as
// root. Otherwise it drops the ambient capabilities, such as those from systemd, so that
// workers get none. It must be called before goroutines block in system calls: if one starts
// to block while the runtime stops all threads for a change of capabilities, Go 1.26 notices
// only after a minute.
func reduce(o options.Options) (r reduced) {
	switch {
	case o.Confine == options.Off:
	case sandbox.IsRoot():
		r.err = sandbox.Keep(masterCapabilities())
	default:
		r.ambient, r.err = sandbox.TakeAmbient()
	}
	return r
}

// execve calls execve(2) for an upgrade, with the ambient capabilities.
func (r reduced) execve(path string, argv, env []string) error {
	return sandbox.GiveAmbient(r.ambient, func() error { return syscall.Exec(path, argv, env) })
}

// masterCapabilities returns the capabilities that a master running as root needs.
func masterCapabilities() []int {
	return []int{
		unix.CAP_NET_BIND_SERVICE,                          // ports below 1024, after a reload too
		unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP, // change the user of workers
		unix.CAP_KILL,                                   // signal workers of another user
		unix.CAP_NET_ADMIN,                              // filters of listening sockets, on some kernels
		unix.CAP_SYS_RESOURCE,                           // raise the limit of descriptors
		unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, // logs, keys and sockets in directories of other users
		unix.CAP_CHOWN, unix.CAP_FOWNER, // owners and modes of files created there
		unix.CAP_SYSLOG, // read the system call that a sandbox forbade from the kernel log
	}
}

// environment returns the environment of workers: variables of the Go runtime and the time
// zone. Others may be secrets of the master.
func environment(o options.Options) []string {
	needed := []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK", "TZ"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !slices.Contains(needed, name) && !slices.Contains(rescue.Variables(), name)
	})
	env = append(env, o.Shared.Environment()...)
	if n := o.Procs(); n > 0 {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(n))
	}
	return env
}
