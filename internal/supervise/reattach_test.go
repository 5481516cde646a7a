package supervise

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/rescue"
)

// A worker that cannot be taken over after an upgrade ends, with all that was kept of
// it.
func TestReattachFails(t *testing.T) {
	worker := exec.Command("sleep", "60")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	var fds [4]int
	for i := range fds {
		fd, err := unix.MemfdCreate("no channel", 0)
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = fd
	}
	_, err := Reattach(Handle{PID: worker.Process.Pid, Channel: fds[0], Output: fds[1], Kept: &rescue.State{Records: fds[2], Lifeline: fds[3]}})
	if err == nil {
		t.Error("a file is a channel")
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d is open: %v", fd, err)
		}
	}
	var ended *exec.ExitError
	if err := worker.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the worker: %v", err)
	}
}
