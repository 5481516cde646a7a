package sandbox

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropBounding removes all capabilities but those from what this process and the
// programs that it executes can ever get (capabilities(7)).
func dropBounding(keep []int) error {
	for c := 0; ; c++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			return nil // beyond the last one
		}
		if has == 0 || slices.Contains(keep, c) {
			continue
		}
		if err := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); err != nil {
			return fmt.Errorf("capability bounding set: %w", err)
		}
	}
}

// setCapabilities leaves all threads those alone, of those that they have.
func setCapabilities(keep []int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
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

// Keep takes all capabilities but those from this process, in all threads, and from
// the programs that it executes from now on.
func Keep(capabilities []int) error {
	if err := dropBounding(capabilities); err != nil {
		return err
	}
	return setCapabilities(capabilities)
}
