package supervise

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
)

// A worker that cannot be taken over after an upgrade is killed, and all descriptors that
// were kept for it are closed.
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
	_, err := new(Spawner).Reattach(0, Handle{PID: worker.Process.Pid, Channel: fds[0], Output: fds[1], Kept: &rescue.State{Records: fds[2], Lifeline: fds[3]}})
	if err == nil {
		t.Error("Reattach accepted a file as a channel")
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d is still open: %v", fd, err)
		}
	}
	var ended *exec.ExitError
	if err := worker.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the worker: %v", err)
	}
}

// Render requests of a worker are still served after an upgrade.
func TestReattachRenders(t *testing.T) {
	worker := exec.Command("sleep", "60")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	defer worker.Process.Kill()
	master, end, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	own, err := unix.Dup(int(end.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	end.Close()
	output, err := unix.MemfdCreate("output", 0)
	if err != nil {
		t.Fatal(err)
	}
	rendered := 0
	s := &Spawner{Render: func(socket *os.File) { rendered++; socket.Close() }}
	p, err := s.Reattach(0, Handle{PID: worker.Process.Pid, Channel: own, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	if err := master.SendFile(ipc.Render{}, own); err != nil { // any unix socket
		t.Fatal(err)
	}
	if err := master.Send(ipc.CanHandOver{}); err != nil { // what Receive returns
		t.Fatal(err)
	}
	if m, err := p.Receive(); err != nil || rendered != 1 {
		t.Errorf("%T, %v, rendered %d times", m, err, rendered)
	}
	worker.Process.Kill()
	p.Wait()
	p.Close()
}
