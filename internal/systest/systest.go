// Package systest has what tests of several packages need: to wait for a condition, and to know or
// change the system.
package systest

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Await waits until ok returns true. what is for the error.
func Await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const limit = time.Minute
	for end := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still waiting for %s after %v", what, limit)
		}
	}
}

// FullTable leaves this process only free unused descriptors until restore is called.
func FullTable(t *testing.T, free int) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	var lowest []int
	for range free + 1 {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		lowest = append(lowest, fd)
	}
	full := before
	full.Cur = uint64(lowest[free])
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &full); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// HasIPv6 reports whether this machine has the address ::1.
func HasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}
