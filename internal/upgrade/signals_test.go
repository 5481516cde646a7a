package upgrade

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleKey makes the test binary a program that executes itself anew ("old"), and
// what it becomes ("new").
const roleKey = "UPGRADE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleKey) {
	case "":
		os.Exit(m.Run())
	case "old":
		actOld()
	case "new":
		actNew()
	}
}

// actOld becomes the new program when it is told to, unless a signal comes first.
func actOld() {
	s := Catch()
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	free, err := s.held(func() {
		panic(syscall.Exec("/proc/self/exe", os.Args, []string{roleKey + "=new"}))
	})
	if free || err != nil {
		panic(err)
	}
	fmt.Println(<-s.C)
}

// actNew takes one signal, or waits for the end of its input if none is to come.
func actNew() {
	s := Catch()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case sig := <-s.C:
		fmt.Println(sig)
	case <-ended:
		select {
		case sig := <-s.C:
			fmt.Println(sig)
		case <-time.After(waitTime):
			fmt.Println("none")
		}
	}
}

// waitTime is how long a signal that was sent is waited for; one that was ignored
// by intent is not.
const waitTime = 500 * time.Millisecond

// A signal at any moment around an execve ends and stops nothing, and is taken by
// the old program or the new one. SIGHUP may be ignored.
func TestSignalsAcrossExec(t *testing.T) {
	// With cgo, as under the race detector, not all threads can be told to block.
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0)
	cgo := errno == syscall.ENOTSUP
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR1, syscall.SIGUSR2} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			for delay := time.Duration(0); delay < 8*time.Millisecond; delay += 400 * time.Microsecond {
				got := across(t, sig, delay)
				if got == "none" && (sig == syscall.SIGHUP || cgo) {
					continue
				}
				if got != sig.String() {
					t.Errorf("after %v: %s", delay, got)
				}
			}
		})
	}
}

// across sends a signal so long after a program was told to execute itself anew,
// and returns what that says.
func across(t *testing.T, sig syscall.Signal, delay time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{roleKey + "=old"}
	in, inErr := cmd.StdinPipe()
	pipe, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("it begins with %q, %v", line, err)
	}
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(delay) // the moment, not a wait
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	in.Close()
	said, readErr := io.ReadAll(out)
	if err := errors.Join(readErr, cmd.Wait()); err != nil {
		return fmt.Sprintf("%v %s", err, said)
	}
	return strings.TrimSpace(string(said))
}
