package rescue

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// asInContainer is the first argument of the test binary when it executes the other arguments as
// a container runtime would.
const asInContainer = "as-in-container"

// forbidden returns the system calls that the default seccomp profiles of Docker and containerd
// refuse without CAP_SYS_PTRACE: all that access another process. Older profiles also refuse
// pidfd_open and pidfd_send_signal.
func forbidden() []uint32 {
	return []uint32{
		unix.SYS_PIDFD_GETFD, unix.SYS_PTRACE, unix.SYS_KCMP, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE,
		unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	}
}

// execute executes a command without the forbidden system calls and without CAP_SYS_PTRACE, for
// its children too. It returns only on error.
func execute(argv []string) error {
	runtime.LockOSThread() // the following is for this thread
	const number = 0       // offset in seccomp_data
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number}}
	calls := forbidden()
	for i, call := range calls {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: uint8(len(calls) - i)})
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if os.Geteuid() == 0 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0); err != nil {
			return fmt.Errorf("drop CAP_SYS_PTRACE: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0); err != nil {
		return fmt.Errorf("set seccomp filter: %w", err)
	}
	if _, err := unix.PidfdOpen(os.Getpid(), 0); err != unix.EPERM {
		return fmt.Errorf("the filter does not work: %w", err)
	}
	return syscall.Exec(argv[0], argv, os.Environ())
}

// TestRescueInContainer kills a worker where no process may access another one: its connections
// survive, and they survive a reload and an upgrade.
func TestRescueInContainer(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
	s := harness.ServeSilently(t, harness.Plan{Before: []string{self, asInContainer}, Args: []string{"--base", base, "--workers", "1"}})
	idle, d := s.Dial(), s.Begin("/big.bin", 64<<10)
	s.MustAsk(idle, harness.Request("GET", "/"))
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGKILL} {
		victim := s.Workers()[0]
		if signal == syscall.SIGKILL {
			harness.Kill(t, victim, signal)
		} else {
			s.Signal(signal)
		}
		s.AwaitWorkers(1, victim)
		if r := s.MustAsk(idle, harness.Request("GET", "/")); r.Closes() {
			t.Errorf("the connection ended after %v", signal)
		}
	}
	s.MustComplete(d)
	s.Stop(harness.ClientTimeout)
}
