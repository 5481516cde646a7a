package sandbox

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCallName(t *testing.T) {
	for number, want := range map[int]string{
		unix.SYS_SOCKET: fmt.Sprintf("socket (%d)", unix.SYS_SOCKET),
		unix.SYS_CLONE:  fmt.Sprintf("clone (%d)", unix.SYS_CLONE),
		9999:            "9999",
		-1:              "-1",
	} {
		if got := CallName(number); got != want {
			t.Errorf("call %d is %q, want %q", number, got, want)
		}
	}
}

// A system call that is allowed only with some arguments can kill a worker, so it has a name.
func TestNamesOfTheFilter(t *testing.T) {
	for _, c := range calls() {
		if c.tests != nil && CallName(c.call) == fmt.Sprint(c.call) {
			t.Errorf("call %d has no name", c.call)
		}
	}
}
