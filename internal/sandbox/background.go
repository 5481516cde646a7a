package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Background gives this process the lowest CPU and I/O priority, so that it only uses idle
// CPUs and disks (sched(7), ioprio_set(2)). It fails in a program with cgo.
func Background() error {
	const (
		nicest    = 19
		schedIdle = 5
		ioIdle    = 3 << 13 // IOPRIO_CLASS_IDLE
	)
	priority := int32(0) // struct sched_param
	return errors.Join(
		background("nice", allThreads(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, nicest)),
		background("SCHED_IDLE", allThreads(unix.SYS_SCHED_SETSCHEDULER, 0, schedIdle, uintptr(unsafe.Pointer(&priority)))),
		background("idle I/O", allThreads(unix.SYS_IOPRIO_SET, 1, 0, ioIdle)),
	)
}

func background(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
