package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// reap stops at the first own child of the list, whose end its waiter collects, and at an
// error.
func TestReapStopsAtOwnChild(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		ended  []int // in the order of the kernel's list
		err    error // of the wait for the last one
		reaped []int
	}{
		{nil, nil, nil},
		{[]int{7, 8}, nil, []int{7, 8}},
		{[]int{7, 1, 8}, nil, []int{7}},
		{[]int{7, 8}, broken, []int{7}},
	} {
		left := slices.Clone(tt.ended)
		var reaped []int
		err := reap(func(pid int) bool { return pid == 1 },
			func() (int, error) {
				if len(left) == 0 {
					return 0, nil
				}
				return left[0], nil
			},
			func(pid int) error {
				if tt.err != nil && len(left) == 1 {
					return tt.err
				}
				reaped, left = append(reaped, pid), left[1:]
				return nil
			})
		if err != tt.err || !slices.Equal(reaped, tt.reaped) {
			t.Errorf("%v ended: reaped %v (%v), want %v (%v)", tt.ended, reaped, err, tt.reaped, tt.err)
		}
	}
}

// Reap collects the exit status of orphans and leaves that of an own child to its waiter.
func TestReap(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)

	own := exec.Command("sh", "-c", "exit 3")
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	ours := func(pid int) bool { return pid == own.Process.Pid }
	awaitEnded(t, children, own.Process.Pid)
	if err := Reap(ours); err != nil {
		t.Error(err)
	}
	orphan := startOrphan(t)
	var exit *exec.ExitError
	if err := own.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("our own child ended with %v, want exit status 3", err)
	}
	for syscall.Kill(orphan, 0) == nil {
		if err := Reap(ours); err != nil {
			t.Fatal(err)
		}
		if syscall.Kill(orphan, 0) == nil {
			<-children
		}
	}
}

// awaitEnded waits until peek sees the end of pid.
func awaitEnded(t *testing.T, children <-chan os.Signal, pid int) {
	t.Helper()
	for {
		got, err := peek()
		if err != nil || got != 0 && got != pid {
			t.Fatalf("peek: %d, %v, want %d", got, err, pid)
		}
		if got == pid {
			return
		}
		<-children
	}
}

// startOrphan starts an orphan, which ends after a moment, and returns its pid.
func startOrphan(t *testing.T) int {
	t.Helper()
	parent := exec.Command("sh", "-c", "sleep 0.2 & echo $!")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(bufio.NewReader(out), &pid); err != nil {
		t.Fatal(err)
	}
	if err := parent.Wait(); err != nil {
		t.Fatal(err)
	}
	return pid
}
