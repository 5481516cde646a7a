package rescue

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A worker may name as its keeper only a process to which it has given its lifeline.
func TestForeignKeeper(t *testing.T) {
	start := func() (k *Kept, keeper int) {
		k, records, lifeline, err := NewKept(Sizes{64, 4096, 4096})
		if err != nil {
			t.Fatal(err)
		}
		server, _ := connected(t)
		cmd := startKept(t, records, lifeline, os.NewFile(uintptr(server), "connection"))
		named := k.Named()
		if len(named) != 1 {
			t.Fatalf("%d keepers are named", len(named))
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			k.Close()
			k.WaitFor(named[0])
		})
		return k, named[0]
	}
	const number = 4 // of a lifeline here
	check := func(k *Kept, pid int) error {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		return k.checkLifeline(fd, number)
	}
	k, keeper := start()
	other, others := start()
	if err := check(k, keeper); err != nil {
		t.Error(err)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		child.Process.Kill()
		child.Wait()
	}()
	for _, pid := range []int{others, child.Process.Pid, os.Getpid()} {
		if check(k, pid) == nil {
			t.Errorf("process %d of %d can be named", pid, keeper)
		}
	}
	for _, pid := range []int{1, os.Getpid(), child.Process.Pid, others} {
		if k.Use(pid) == nil {
			t.Errorf("process %d is used", pid)
		}
	}
	if err := check(other, others); err != nil {
		t.Error(err)
	}
}
