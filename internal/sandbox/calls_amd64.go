package sandbox

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_X86_64

// native returns the allowed calls that arm64 lacks or names differently.
func native() []int {
	return []int{unix.SYS_NEWFSTATAT, unix.SYS_EPOLL_WAIT, unix.SYS_TIME, unix.SYS_ARCH_PRCTL}
}

// nativeNames returns the names of calls that arm64 lacks.
func nativeNames() map[int]string {
	return map[int]string{
		unix.SYS_OPEN: "open", unix.SYS_STAT: "stat", unix.SYS_LSTAT: "lstat", unix.SYS_ACCESS: "access", unix.SYS_READLINK: "readlink", unix.SYS_CREAT: "creat",
		unix.SYS_UNLINK: "unlink", unix.SYS_RENAME: "rename", unix.SYS_MKDIR: "mkdir", unix.SYS_CHMOD: "chmod", unix.SYS_CHOWN: "chown", unix.SYS_SYMLINK: "symlink",
		unix.SYS_FORK: "fork", unix.SYS_VFORK: "vfork", unix.SYS_PIPE: "pipe", unix.SYS_DUP2: "dup2", unix.SYS_POLL: "poll", unix.SYS_SELECT: "select",
		unix.SYS_EPOLL_CREATE: "epoll_create", unix.SYS_EVENTFD: "eventfd", unix.SYS_ALARM: "alarm", unix.SYS_MODIFY_LDT: "modify_ldt", unix.SYS_IOPERM: "ioperm",
	}
}
