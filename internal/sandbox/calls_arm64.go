package sandbox

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// native are the calls that amd64 does not have, or under another name.
func native() []int { return []int{unix.SYS_FSTATAT} }

// nativeNames are those of calls that amd64 does not have.
func nativeNames() map[int]string { return nil }
