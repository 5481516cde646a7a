package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The accesses that each version of Landlock can forbid (landlock(7)).
const (
	filesV1 = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // this one and all before
	portsV4 = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	scopeV6 = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
)

// handled returns the accesses that a version forbids unless a rule allows them.
func handled(version int) unix.LandlockRulesetAttr {
	a := unix.LandlockRulesetAttr{Handled_access_fs: filesV1}
	if version >= 2 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		a.Handled_access_net = portsV4
	}
	if version >= 5 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		a.Scoped = scopeV6
	}
	return a
}

// The accesses that are allowed below a directory that a process reads, or keeps files in.
const (
	reading = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	keeping = reading | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// restrict forbids all threads to access files except those below the directories with the
// given access, to bind or connect TCP sockets, and to signal processes outside the sandbox.
func restrict(directories []int, access uint64) error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return errors.New("the kernel has no Landlock") // Linux is older than 5.13, or was built or started without
	}
	attr := handled(int(version))
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	defer unix.Close(int(rules))
	for _, fd := range directories {
		beneath := unix.LandlockPathBeneathAttr{
			Allowed_access: access & attr.Handled_access_fs, Parent_fd: int32(fd),
		}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, rules, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("landlock: %w", errno)
		}
	}
	if err := allThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	if version < 4 {
		return errors.New("the kernel's Landlock cannot forbid TCP ports")
	}
	return nil
}
