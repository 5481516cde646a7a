package sandbox

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_X86_64

// native are the calls that arm64 does not have, or under another name.
func native() []int {
	return []int{unix.SYS_NEWFSTATAT, unix.SYS_EPOLL_WAIT, unix.SYS_TIME, unix.SYS_ARCH_PRCTL}
}
