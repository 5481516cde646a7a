// Package thief has the attempts of an attacker who has compromised a worker. It is for tests:
// a worker built with the tag "thief" makes the attempt that a request names, and so does a
// process that has confined itself like a worker. docs/security.md has a row for each kind of
// attempt.
package thief

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Victims are the targets of the attempts.
type Victims struct {
	Root            string // the document root, with the file "file" and the link "link" to "../secret"
	Master, Sibling int    // pids
}

// Attempt is one forbidden action.
type Attempt struct {
	Name string // letters, digits and dashes
	Kind string // the first cell of its row in docs/security.md
	Ends bool   // it kills the process with SIGSYS; otherwise the kernel refuses it
	Do   func(Victims) error
}

// All returns every attempt.
func All() []Attempt {
	var all []Attempt
	for _, some := range [][]Attempt{files(), processes(), sockets(), kernel(), itself(), descriptors()} {
		all = append(all, some...)
	}
	return all
}

// Find returns the attempt with a name.
func Find(name string) (Attempt, bool) {
	for _, a := range All() {
		if a.Name == name {
			return a, true
		}
	}
	return Attempt{}, false
}

func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// calls makes a system call whose arguments do not depend on the victims.
func calls(number uintptr, args ...uintptr) func(Victims) error {
	return func(Victims) error { return call(number, args...) }
}

// on makes a system call for the sibling and for the master.
func on(number uintptr, args func(pid uintptr) []uintptr) func(Victims) error {
	return func(v Victims) error {
		return either(call(number, args(uintptr(v.Sibling))...), call(number, args(uintptr(v.Master))...))
	}
}

// either returns nil if one of several attempts succeeded.
func either(errs ...error) error {
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// opens opens a path, in which ROOT, MASTER and SIBLING are replaced.
func opens(path string, flags int) func(Victims) error {
	return func(v Victims) error {
		names := strings.NewReplacer("ROOT", v.Root, "MASTER", fmt.Sprint(v.Master), "SIBLING", fmt.Sprint(v.Sibling))
		fd, err := unix.Open(names.Replace(path), flags|unix.O_CLOEXEC, 0o666)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

func files() []Attempt {
	const read, write = "open `/etc/passwd`, anything in `/proc`, a file beside the document root, or one through a symbolic link that leads there",
		"write, create, rename or remove a file, or change its mode, in the document root too"
	return []Attempt{
		{"read-passwd", read, false, opens("/etc/passwd", unix.O_RDONLY)},
		{"read-device", read, false, opens("/dev/kmsg", unix.O_RDONLY)},
		{"read-environment", read, false, opens("/proc/self/environ", unix.O_RDONLY)},
		{"read-init", read, false, opens("/proc/1/environ", unix.O_RDONLY)},
		{"read-master-files", read, false, opens("/proc/MASTER/fd", unix.O_RDONLY|unix.O_DIRECTORY)},
		{"read-sibling-memory", read, false, opens("/proc/SIBLING/mem", unix.O_RDWR)},
		{"read-master-memory", read, false, opens("/proc/MASTER/mem", unix.O_RDWR)},
		{"read-own-memory", read, false, opens("/proc/self/mem", unix.O_RDWR)},
		{"reopen-listener", read, false, opens("/proc/self/fd/3", unix.O_RDWR)},
		{"read-beside", read, false, opens("ROOT/../secret", unix.O_RDONLY)},
		{"follow-link", read, false, opens("ROOT/link", unix.O_RDONLY)},
		{"write-file", write, false, opens("ROOT/file", unix.O_WRONLY)},
		{"truncate-file", write, false, opens("ROOT/file", unix.O_RDWR|unix.O_TRUNC)},
		{"create-file", write, false, opens("ROOT/new", unix.O_WRONLY|unix.O_CREAT)},
		{"create-hidden-file", write, false, opens("ROOT", unix.O_WRONLY|unix.O_TMPFILE)},
		{"create-file-in-tmp", write, false, opens("/tmp/phalanx-thief", unix.O_WRONLY|unix.O_CREAT)},
		{"remove-file", write, true, calls(unix.SYS_UNLINKAT)},
		{"rename-file", write, true, calls(unix.SYS_RENAMEAT2)},
		{"link-file", write, true, calls(unix.SYS_LINKAT)},
		{"make-directory", write, true, calls(unix.SYS_MKDIRAT)},
		{"change-mode", write, true, calls(unix.SYS_FCHMODAT)},
		{"change-owner", write, true, calls(unix.SYS_FCHOWNAT)},
		{"open-by-handle", write, true, calls(unix.SYS_OPEN_BY_HANDLE_AT)},
	}
}

func processes() []Attempt {
	const start, touch, copies = "execute a program; start a process",
		"signal, trace, or read the memory of the master or a sibling", "copy a descriptor of another process (pidfd_getfd)"
	return []Attempt{
		{"execute", start, true, func(Victims) error { return unix.Exec("/bin/true", []string{"true"}, nil) }},
		{"execute-descriptor", start, true, calls(unix.SYS_EXECVEAT)},
		{"fork", start, true, calls(unix.SYS_CLONE, uintptr(unix.SIGCHLD))},
		{"fork-namespace", start, true, calls(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD))},
		{"fork-anew", start, true, calls(unix.SYS_CLONE3)},
		{"fork-keeper", start, true, calls(unix.SYS_CLONE, unix.CLONE_FILES|unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|uintptr(unix.SIGCHLD))},
		{"leave-group", start, true, calls(unix.SYS_SETPGID)},
		{"kill-sibling", touch, true, func(v Victims) error { return unix.Kill(v.Sibling, unix.SIGKILL) }},
		{"kill-master", touch, true, func(v Victims) error { return unix.Kill(v.Master, unix.SIGKILL) }},
		{"kill-all", touch, true, func(Victims) error { return unix.Kill(-1, unix.SIGKILL) }},
		{"kill-thread", touch, true, func(v Victims) error { return unix.Tgkill(v.Sibling, v.Sibling, unix.SIGKILL) }},
		{"queue-signal", touch, true, on(unix.SYS_RT_SIGQUEUEINFO, func(pid uintptr) []uintptr { return []uintptr{pid, uintptr(unix.SIGTERM)} })},
		{"signal-descriptor", touch, true, calls(unix.SYS_PIDFD_SEND_SIGNAL)},
		{"trace", touch, true, on(unix.SYS_PTRACE, func(pid uintptr) []uintptr { return []uintptr{unix.PTRACE_SEIZE, pid} })},
		{"read-memory", touch, true, on(unix.SYS_PROCESS_VM_READV, func(pid uintptr) []uintptr { return []uintptr{pid} })},
		{"write-memory", touch, true, on(unix.SYS_PROCESS_VM_WRITEV, func(pid uintptr) []uintptr { return []uintptr{pid} })},
		{"compare-files", touch, true, on(unix.SYS_KCMP, func(pid uintptr) []uintptr { return []uintptr{pid, pid} })},
		{"open-process", copies, true, func(v Victims) error { _, err := unix.PidfdOpen(v.Sibling, 0); return err }},
		{"copy-descriptor", copies, true, calls(unix.SYS_PIDFD_GETFD, 0, 3)},
	}
}

func sockets() []Attempt {
	const open = "open a socket, connect, bind or listen"
	return []Attempt{
		{"socket-internet", open, true, calls(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM)},
		{"socket-unix", open, true, calls(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_DGRAM)},
		{"socket-netlink", open, true, calls(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW)},
		{"socket-packet", open, true, calls(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW)},
		{"pair-internet", open, true, calls(unix.SYS_SOCKETPAIR, unix.AF_INET, unix.SOCK_STREAM)},
		{"pair-datagrams", open, true, calls(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC)},
		{"connect", open, true, calls(unix.SYS_CONNECT, 3)},
		{"bind", open, true, calls(unix.SYS_BIND, 3)},
		{"listen", open, true, calls(unix.SYS_LISTEN, 3, 0)},
		{"connect-fast", open, false, func(Victims) error { // data with the handshake
			to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
			return unix.Sendto(3, []byte("x"), unix.MSG_FASTOPEN, to)
		}},
		{"send-many", open, true, calls(unix.SYS_SENDMMSG, 3)},
	}
}

func kernel() []Attempt {
	const other = "mount, unshare, io_uring, bpf, keyctl, userfaultfd, memfd_create, modules"
	names := map[string]uintptr{
		"mount": unix.SYS_MOUNT, "fsopen": unix.SYS_FSOPEN, "chroot": unix.SYS_CHROOT, "pivot-root": unix.SYS_PIVOT_ROOT, "unshare": unix.SYS_UNSHARE, "setns": unix.SYS_SETNS,
		"io-uring": unix.SYS_IO_URING_SETUP, "bpf": unix.SYS_BPF, "perf": unix.SYS_PERF_EVENT_OPEN, "keyctl": unix.SYS_KEYCTL, "add-key": unix.SYS_ADD_KEY,
		"userfaultfd": unix.SYS_USERFAULTFD, "memfd": unix.SYS_MEMFD_CREATE, "init-module": unix.SYS_INIT_MODULE, "load-module": unix.SYS_FINIT_MODULE,
		"kexec": unix.SYS_KEXEC_LOAD, "reboot": unix.SYS_REBOOT, "swap": unix.SYS_SWAPON, "set-clock": unix.SYS_CLOCK_SETTIME, "kernel-log": unix.SYS_SYSLOG,
		"shared-memory": unix.SYS_SHMGET, "message-queue": unix.SYS_MQ_OPEN, "watch-files": unix.SYS_INOTIFY_INIT1, "watch-all": unix.SYS_FANOTIFY_INIT,
	}
	var all []Attempt
	for name, number := range names {
		all = append(all, Attempt{name, other, true, calls(number)})
	}
	return all
}

func itself() []Attempt {
	const change, code = "change its user, its capabilities, its sandbox, its limits or those of another", "make memory executable"
	var all []Attempt
	for name, option := range map[string]uintptr{
		"dumpable": unix.PR_SET_DUMPABLE, "keep-capabilities": unix.PR_SET_KEEPCAPS, "ambient-capability": unix.PR_CAP_AMBIENT, "tracer": unix.PR_SET_PTRACER,
		"memory-map": unix.PR_SET_MM, "subreaper": unix.PR_SET_CHILD_SUBREAPER, "another-filter": unix.PR_SET_SECCOMP, "death-signal": unix.PR_SET_PDEATHSIG,
		"security-bits": unix.PR_SET_SECUREBITS, "speculation": unix.PR_SET_SPECULATION_CTRL,
	} {
		all = append(all, Attempt{"prctl-" + name, change, true, calls(unix.SYS_PRCTL, option, 1)})
	}
	return append(all, []Attempt{
		{"become-root", change, true, calls(unix.SYS_SETRESUID)},
		{"become-group", change, true, calls(unix.SYS_SETRESGID)},
		{"set-groups", change, true, calls(unix.SYS_SETGROUPS)},
		{"take-capabilities", change, true, calls(unix.SYS_CAPSET)},
		{"filter", change, true, calls(unix.SYS_SECCOMP)},
		{"landlock", change, true, calls(unix.SYS_LANDLOCK_RESTRICT_SELF)},
		{"personality", change, true, calls(unix.SYS_PERSONALITY)},
		{"raise-limit", change, true, calls(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE, 1)},
		{"limit-sibling", change, true, limitSibling},
		{"schedule-sibling", change, true, on(unix.SYS_SCHED_SETAFFINITY, func(pid uintptr) []uintptr { return []uintptr{pid} })},
		{"map-code", code, true, calls(unix.SYS_MMAP, 0, 4096, unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE, ^uintptr(0))},
		{"make-code", code, true, calls(unix.SYS_MPROTECT, 0, 4096, unix.PROT_EXEC)},
		{"make-code-by-key", code, true, calls(unix.SYS_PKEY_MPROTECT, 0, 4096, unix.PROT_EXEC, ^uintptr(0))},
	}...)
}

// limitSibling sets a limit with a pointer whose lower 32 bits are 0, which a filter could
// mistake for nil.
func limitSibling(v Victims) error {
	const at = 1 << 40
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, at, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED_NOREPLACE, ^uintptr(0), 0)
	if errno != 0 {
		return fmt.Errorf("no memory at %#x: %w", at, errno)
	}
	return call(unix.SYS_PRLIMIT64, uintptr(v.Sibling), unix.RLIMIT_NOFILE, at)
}
