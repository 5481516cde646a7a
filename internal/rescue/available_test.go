package rescue

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// emulate restricts clone(2) in this thread to threads and forks, as an emulator does.
func emulate() error {
	runtime.LockOSThread()
	const number, flags = 0, 16 // in seccomp_data
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_VM, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_FILES, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
		unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0))
}

// Where no keeper can be started, workers start without one, and connections are not rescued.
func TestAvailable(t *testing.T) {
	if err := Available(Sizes{64, 4096, 4096}); err != nil {
		t.Error(err)
	}
	wantNoChildren(t, "the process of the attempt")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PHALANX_TEST_EMULATED=1")
	const want = "<nil> start keeper: invalid argument"
	if out, err := cmd.CombinedOutput(); string(out) != want || err != nil {
		t.Errorf("%s, %v; want %s", out, err, want)
	}
}
