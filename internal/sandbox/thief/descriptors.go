package thief

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// descriptors returns the attempts to misuse a worker's open descriptors.
func descriptors() []Attempt {
	const (
		steer  = "shut down a listening socket, change its queue, or steer the connections of siblings with it"
		fcntl  = "have a signal sent by a descriptor; change seals, leases or the size of a pipe"
		block  = "clear O_NONBLOCK of a descriptor that workers share, so that they wait for it"
		shared = "write into the counters of a sibling, or into certificates and keys from the master"
		tty    = "type into the terminal of the master"
	)
	option := func(level, name uintptr) func(Victims) error {
		return calls(unix.SYS_SETSOCKOPT, ipc.ListenFD, level, name, 0, 4)
	}
	return []Attempt{
		{"shut-down-listener", steer, true, calls(unix.SYS_SHUTDOWN, ipc.ListenFD, unix.SHUT_RD)},
		{"shut-down-all", steer, true, calls(unix.SYS_SHUTDOWN, ipc.ListenFD, unix.SHUT_RDWR)},
		{"steer", steer, true, option(unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF)},
		{"steer-by-program", steer, true, option(unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF)},
		{"stop-steering", steer, true, option(unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF)},
		{"lock-filter", steer, true, option(unix.SOL_SOCKET, unix.SO_LOCK_FILTER)},
		{"bind-to-device", steer, true, option(unix.SOL_SOCKET, unix.SO_BINDTODEVICE)},
		{"leave-port", steer, true, option(unix.SOL_SOCKET, unix.SO_REUSEPORT)},
		{"change-accepting", steer, true, option(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT)},
		{"repair", steer, true, option(unix.IPPROTO_TCP, unix.TCP_REPAIR)},
		{"signal-owner", fcntl, true, calls(unix.SYS_FCNTL, ipc.ListenFD, unix.F_SETOWN, 1)},
		{"choose-signal", fcntl, true, calls(unix.SYS_FCNTL, ipc.ListenFD, unix.F_SETSIG, uintptr(unix.SIGKILL))},
		{"signal-by-ioctl", fcntl, true, calls(unix.SYS_IOCTL, ipc.ListenFD, unix.SIOCSPGRP)},
		{"lease", fcntl, true, calls(unix.SYS_FCNTL, ipc.LogFD, unix.F_SETLEASE)},
		{"narrow-pipe", fcntl, true, calls(unix.SYS_FCNTL, 1, unix.F_SETPIPE_SZ, 4096)},
		{"seal-records", fcntl, true, calls(unix.SYS_FCNTL, ipc.RecordsFD, unix.F_ADD_SEALS, unix.F_SEAL_WRITE)},
		{"shorten-records", fcntl, true, calls(unix.SYS_FTRUNCATE, ipc.RecordsFD, 0)},
		{"punch-records", fcntl, true, calls(unix.SYS_FALLOCATE, ipc.RecordsFD, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)},
		{"block", block, false, calls(unix.SYS_FCNTL, 1, unix.F_SETFL, 0)},
		{"counters", shared, false, writeMemory},
		{"type", tty, true, calls(unix.SYS_IOCTL, ipc.LogFD, unix.TIOCSTI)},
		{"hang-up", tty, true, calls(unix.SYS_IOCTL, ipc.LogFD, unix.TIOCNOTTY)},
	}
}

// writeMemory tries to write to each open memfd except the worker's own records.
func writeMemory(Victims) error {
	err := errors.New("no other memory is open")
	for fd := range 256 {
		if fd == ipc.RecordsFD {
			continue
		}
		if _, none := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); none != nil {
			continue
		}
		var b [1]byte
		_, failed := unix.Pread(fd, b[:], 0)
		if failed == nil {
			_, failed = unix.Pwrite(fd, b[:], 0) // the same byte
		}
		if failed == nil {
			return nil
		}
		err = fmt.Errorf("write into descriptor %d: %w", fd, failed)
	}
	return err
}
