package sandbox

import (
	"os"

	"golang.org/x/sys/unix"
)

// calls returns the system calls that a worker needs to serve, drain, hand over and take over.
// None opens a socket, executes a program, starts a process, or changes privileges.
func calls() []allowed {
	self := uint32(os.Getpid())
	const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD // runtime.cloneFlags
	// is tests that an argument has one of the values.
	is := func(arg uint32, values ...uint32) test { return test{arg: arg, is: values} }
	list := []allowed{
		{unix.SYS_CLONE, []test{is(0, thread, thread|unix.CLONE_SETTLS)}},
		{unix.SYS_MMAP, []test{{arg: 2, not: unix.PROT_EXEC}}},
		{unix.SYS_MPROTECT, []test{{arg: 2, not: unix.PROT_EXEC}}},
		{unix.SYS_PRCTL, []test{is(0, unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA)}},
		{unix.SYS_IOCTL, []test{is(1, unix.SIOCINQ, unix.SIOCOUTQ)}},
		// For the process that renders a README. Datagram sockets could send to any address.
		{unix.SYS_SOCKETPAIR, []test{is(0, unix.AF_UNIX), is(1, unix.SOCK_STREAM|unix.SOCK_CLOEXEC)}},
		// Listening sockets are shared with the master: no options that steer connections
		// among slots, or that the master cannot undo.
		{unix.SYS_SETSOCKOPT, []test{is(1, unix.SOL_SOCKET), is(2, unix.SO_LINGER, unix.SO_RCVTIMEO, unix.SO_SNDTIMEO, unix.SO_ATTACH_FILTER)}},
		{unix.SYS_SHUTDOWN, []test{is(1, unix.SHUT_WR)}}, // SHUT_WR does nothing to a listening socket
		// No signals to other processes, no leases, seals or pipe sizes.
		{unix.SYS_FCNTL, []test{is(1, unix.F_GETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC, unix.F_GET_SEALS)}},
		// Workers share open files, such as the doorbell of the access log, and with them
		// O_NONBLOCK: all would wait. Package os clears it for files that cannot be polled, and
		// ignores the error.
		{unix.SYS_FCNTL, []test{is(1, unix.F_SETFL), {arg: 2, set: unix.O_NONBLOCK}}},
		{unix.SYS_TGKILL, []test{is(0, self)}},
		{unix.SYS_KILL, []test{is(0, self)}},
		{unix.SYS_PRLIMIT64, []test{{arg: 2, null: true}}}, // reading only
	}
	for _, call := range append(plain(), native()...) {
		list = append(list, allowed{call: call})
	}
	return list
}

// keepingCalls returns the additional calls of a process that keeps files.
func keepingCalls() []allowed {
	return []allowed{{call: unix.SYS_RENAMEAT}, {call: unix.SYS_UNLINKAT}, {call: unix.SYS_UTIMENSAT}, {call: unix.SYS_FTRUNCATE}, {call: unix.SYS_FLOCK}}
}

// plain returns the calls that are allowed with any arguments.
func plain() []int {
	return []int{
		// Connections.
		unix.SYS_ACCEPT4, unix.SYS_READ, unix.SYS_READV, unix.SYS_RECVFROM, unix.SYS_RECVMSG, unix.SYS_WRITE, unix.SYS_WRITEV,
		unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDFILE, unix.SYS_CLOSE, unix.SYS_GETSOCKOPT,
		unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_DUP, unix.SYS_DUP3,
		unix.SYS_PIPE2, unix.SYS_SPLICE,
		// Events.
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2, unix.SYS_EVENTFD2, unix.SYS_PPOLL,
		// Files.
		unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_GETDENTS64, unix.SYS_LSEEK, unix.SYS_PREAD64,
		unix.SYS_PREADV, unix.SYS_PREADV2, unix.SYS_PWRITE64, unix.SYS_PWRITEV2, unix.SYS_FADVISE64, unix.SYS_FSTATFS, unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
		// Memory and threads.
		unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_RT_SIGACTION,
		unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETRANDOM,
		unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST,
		// Time.
		unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	}
}
