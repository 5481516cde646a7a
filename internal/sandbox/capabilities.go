package sandbox

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropBounding removes all capabilities except keep from the bounding set, so that neither
// this process nor the programs that it executes can get them (capabilities(7)).
func dropBounding(keep []int) error {
	for c := 0; ; c++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			return nil // after the last capability
		}
		if has == 0 || slices.Contains(keep, c) {
			continue
		}
		if err := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); err != nil {
			return fmt.Errorf("capability bounding set: %w", err)
		}
	}
}

// setCapabilities drops all capabilities except keep in all threads. If the process has none,
// it makes no system call, because a service's own filter may forbid capset(2).
func setCapabilities(keep []int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if has[0].Permitted|has[1].Permitted == 0 { // no capabilities
		return nil
	}
	var want [2]unix.CapUserData
	for _, c := range keep {
		want[c/32].Permitted |= 1 << (c % 32) & has[c/32].Permitted
	}
	for i := range want {
		want[i].Effective = want[i].Permitted
	}
	if err := allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&want[0])), 0); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	return nil
}

// Keep drops all capabilities except those, in all threads of this process and in the programs
// that it executes.
func Keep(capabilities []int) error {
	if err := dropBounding(capabilities); err != nil {
		return err
	}
	return setCapabilities(capabilities)
}

// TakeAmbient drops the ambient capabilities in all threads of this process, so that programs
// that it executes get none, unless it runs as root. The process keeps its own. It returns the
// dropped ones.
func TakeAmbient() (taken []int, err error) {
	for c := 0; ; c++ {
		set, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, uintptr(c), 0, 0)
		if err != nil {
			break // after the last capability
		}
		if set == 1 {
			taken = append(taken, c)
		}
	}
	if len(taken) == 0 {
		return nil, nil
	}
	if err := allThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return nil, fmt.Errorf("ambient capabilities: %w", err)
	}
	return taken, nil
}

// GiveAmbient raises the ambient capabilities that [TakeAmbient] has dropped and calls
// execute, which should not return. It returns the error if it does.
func GiveAmbient(taken []int, execute func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, c := range taken {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("ambient capabilities: %w", err)
		}
	}
	err := execute()
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) // cannot fail if raising has not
	return err
}
