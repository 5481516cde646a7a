package sandbox

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// native returns the allowed calls that amd64 lacks or names differently.
func native() []int { return []int{unix.SYS_FSTATAT} }

// nativeNames returns the names of calls that amd64 lacks.
func nativeNames() map[int]string { return nil }
