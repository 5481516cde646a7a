package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// CallName returns the name and number of a system call, such as "socket (41)"; the number
// alone if it is not in the table.
func CallName(number int) string {
	for _, names := range []map[int]string{names(), nativeNames()} {
		if name := names[number]; name != "" {
			return fmt.Sprintf("%s (%d)", name, number)
		}
	}
	return fmt.Sprint(number)
}

// names returns the system calls of all architectures that the filter mentions, or that a
// library or an attacker might try.
func names() map[int]string {
	return map[int]string{
		// Allowed with some arguments.
		unix.SYS_CLONE: "clone", unix.SYS_MMAP: "mmap", unix.SYS_MPROTECT: "mprotect", unix.SYS_PRCTL: "prctl", unix.SYS_IOCTL: "ioctl",
		unix.SYS_SOCKETPAIR: "socketpair", unix.SYS_TGKILL: "tgkill", unix.SYS_KILL: "kill", unix.SYS_SETPGID: "setpgid", unix.SYS_PRLIMIT64: "prlimit64",
		// Sockets.
		unix.SYS_SOCKET: "socket", unix.SYS_BIND: "bind", unix.SYS_CONNECT: "connect", unix.SYS_ACCEPT: "accept", unix.SYS_LISTEN: "listen",
		unix.SYS_SENDMMSG: "sendmmsg", unix.SYS_RECVMMSG: "recvmmsg", unix.SYS_SETSOCKOPT: "setsockopt", unix.SYS_SHUTDOWN: "shutdown",
		// Processes.
		unix.SYS_EXECVE: "execve", unix.SYS_EXECVEAT: "execveat", unix.SYS_CLONE3: "clone3", unix.SYS_WAIT4: "wait4", unix.SYS_WAITID: "waitid",
		unix.SYS_PTRACE: "ptrace", unix.SYS_PROCESS_VM_READV: "process_vm_readv", unix.SYS_PROCESS_VM_WRITEV: "process_vm_writev",
		unix.SYS_PIDFD_OPEN: "pidfd_open", unix.SYS_PIDFD_GETFD: "pidfd_getfd", unix.SYS_PIDFD_SEND_SIGNAL: "pidfd_send_signal", unix.SYS_KCMP: "kcmp",
		unix.SYS_RT_SIGQUEUEINFO: "rt_sigqueueinfo", unix.SYS_TKILL: "tkill", unix.SYS_SETSID: "setsid", unix.SYS_GETPPID: "getppid", unix.SYS_GETRUSAGE: "getrusage",
		unix.SYS_SETUID: "setuid", unix.SYS_SETGID: "setgid", unix.SYS_SETRESUID: "setresuid", unix.SYS_SETRESGID: "setresgid", unix.SYS_SETGROUPS: "setgroups",
		unix.SYS_CAPSET: "capset", unix.SYS_SECCOMP: "seccomp", unix.SYS_UNSHARE: "unshare", unix.SYS_SETNS: "setns", unix.SYS_CHROOT: "chroot",
		unix.SYS_SCHED_SETAFFINITY: "sched_setaffinity", unix.SYS_SETPRIORITY: "setpriority", unix.SYS_SETRLIMIT: "setrlimit",
		// Files.
		unix.SYS_DUP: "dup", unix.SYS_FCNTL: "fcntl", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_LINKAT: "linkat", unix.SYS_SYMLINKAT: "symlinkat",
		unix.SYS_MKDIRAT: "mkdirat", unix.SYS_MKNODAT: "mknodat", unix.SYS_FCHMOD: "fchmod", unix.SYS_FCHMODAT: "fchmodat", unix.SYS_FCHOWN: "fchown", unix.SYS_FCHOWNAT: "fchownat",
		unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_TRUNCATE: "truncate", unix.SYS_FALLOCATE: "fallocate", unix.SYS_UTIMENSAT: "utimensat", unix.SYS_FLOCK: "flock",
		unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_COPY_FILE_RANGE: "copy_file_range", unix.SYS_GETCWD: "getcwd", unix.SYS_CHDIR: "chdir", unix.SYS_STATFS: "statfs",
		unix.SYS_INOTIFY_INIT1: "inotify_init1", unix.SYS_MEMFD_CREATE: "memfd_create", unix.SYS_OPEN_BY_HANDLE_AT: "open_by_handle_at", unix.SYS_FSETXATTR: "fsetxattr", unix.SYS_GETXATTR: "getxattr",
		unix.SYS_MOUNT: "mount", unix.SYS_UMOUNT2: "umount2", unix.SYS_FSOPEN: "fsopen", unix.SYS_OPEN_TREE: "open_tree",
		// Memory, time and the kernel.
		unix.SYS_BRK: "brk", unix.SYS_MREMAP: "mremap", unix.SYS_MSYNC: "msync", unix.SYS_MLOCK: "mlock", unix.SYS_MINCORE: "mincore", unix.SYS_MEMBARRIER: "membarrier",
		unix.SYS_PROCESS_MADVISE: "process_madvise", unix.SYS_USERFAULTFD: "userfaultfd", unix.SYS_SHMGET: "shmget",
		unix.SYS_SETITIMER: "setitimer", unix.SYS_TIMER_CREATE: "timer_create", unix.SYS_TIMERFD_CREATE: "timerfd_create", unix.SYS_PSELECT6: "pselect6",
		unix.SYS_UNAME: "uname", unix.SYS_SYSINFO: "sysinfo", unix.SYS_GETUID: "getuid", unix.SYS_IO_URING_SETUP: "io_uring_setup", unix.SYS_IO_SETUP: "io_setup",
		unix.SYS_BPF: "bpf", unix.SYS_PERF_EVENT_OPEN: "perf_event_open", unix.SYS_KEYCTL: "keyctl", unix.SYS_ADD_KEY: "add_key", unix.SYS_REQUEST_KEY: "request_key",
		unix.SYS_INIT_MODULE: "init_module", unix.SYS_FINIT_MODULE: "finit_module", unix.SYS_REBOOT: "reboot", unix.SYS_SYSLOG: "syslog", unix.SYS_PERSONALITY: "personality",
	}
}
