package sandbox

import (
	"fmt"
	"runtime"
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

// setCapabilities leaves all threads those alone, of those that they have. Where there are
// none it makes no call that only privileged programs make, which a service may be
// forbidden: what could be inherited by a privileged file gives nothing with no_new_privs.
func setCapabilities(keep []int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if has[0].Permitted|has[1].Permitted == 0 { // and so none is effective
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

// Keep takes all capabilities but those from this process, in all threads, and from
// the programs that it executes from now on.
func Keep(capabilities []int) error {
	if err := dropBounding(capabilities); err != nil {
		return err
	}
	return setCapabilities(capabilities)
}

// TakeAmbient takes the ambient capabilities from this process, in all threads, and so all
// capabilities from the programs that it executes from now on, unless it runs as root. Its
// own stay. It returns those that were taken.
func TakeAmbient() (taken []int, err error) {
	for c := 0; ; c++ {
		set, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, uintptr(c), 0, 0)
		if err != nil {
			break // beyond the last one
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

// GiveAmbient has the calling thread execute a program with what [TakeAmbient] has taken,
// and returns why it does not.
func GiveAmbient(taken []int, execute func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, c := range taken {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("ambient capabilities: %w", err)
		}
	}
	err := execute()
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) // that cannot fail where raising has not
	return err
}
