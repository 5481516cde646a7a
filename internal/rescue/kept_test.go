package rescue

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Only a child of this process can be a keeper, because no other can be waited for.
func TestForeignKeeper(t *testing.T) {
	k, _, lifeline, err := NewKept(Sizes{64, 4096, 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	defer lifeline.Close()
	for _, pid := range []int{1, unix.Getpid(), unix.Getppid()} {
		if k.Use(pid) == nil {
			t.Errorf("process %d is used", pid)
		}
	}
	if k.Lifeline() != nil {
		t.Error("a process that is not a child is used as the keeper")
	}
}

// No process is left of a worker that dies before it is ready, whatever its keeper was doing.
func TestDiscardLeavesNoProcess(t *testing.T) {
	server, _ := connected(t)
	defer unix.Close(server)
	k, worker, end := startKept(t, server)
	sendMessage(t, end, 0, nil) // after the keeper's announcement
	worker.Process.Kill()
	worker.Wait()
	k.Discard(worker.Process.Pid)
	wantNoChildren(t, "a keeper that has greeted")

	k, _, lifeline, err := NewKept(Sizes{64, 4096, 4096})
	if err != nil {
		t.Fatal(err)
	}
	lifeline.Close()
	group := &syscall.SysProcAttr{Setpgid: true}
	for range 2 { // the worker, and what would have become its keeper
		p := exec.Command("sleep", "60")
		p.SysProcAttr = group
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if group.Pgid == 0 {
			worker, group = p, &syscall.SysProcAttr{Setpgid: true, Pgid: p.Process.Pid}
		} else {
			p.Process.Release()
		}
	}
	if err := unix.Kill(-worker.Process.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	worker.Wait()
	k.Discard(worker.Process.Pid)
	wantNoChildren(t, "one that had not left the worker's group")
}

func wantNoChildren(t *testing.T, what string) {
	t.Helper()
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != unix.ECHILD {
		t.Errorf("%s is left: %v", what, err)
	}
}
