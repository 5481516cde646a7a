package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// roleKey makes the test binary a process that confines itself, and then tries what
// the variable names.
const roleKey = "SANDBOX_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleKey)
	if role == "" {
		os.Exit(m.Run())
	}
	name, dir, _ := strings.Cut(role, "=")
	if err := confined(dir); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	if err := attempts()[name].do(dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// confined puts this process into its sandbox, as nobody if it is root.
func confined(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if IsRoot() {
		id, err := LookUp("")
		if err == nil {
			err = id.Become()
		}
		if err != nil {
			return err
		}
	}
	if missing := Confine(fd); len(missing) > 0 {
		return errors.New(missing.String())
	}
	return nil
}

// attempt is what a confined process tries.
type attempt struct {
	do func(dir string) error
	// killed: it ends the process; else the kernel refuses it with an error, or, if
	// allowed, permits it.
	killed, allowed bool
}

func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func opens(path string, flags int) func(string) error {
	return func(dir string) error {
		f, err := os.OpenFile(strings.ReplaceAll(path, "DIR", dir), flags, 0o666)
		if err == nil {
			f.Close()
		}
		return err
	}
}

func calls6(number uintptr, args ...uintptr) func(string) error {
	return func(string) error { return call(number, args...) }
}

// raiseLimit sets a limit with an address whose lower half is 0.
func raiseLimit(string) error {
	const at = 1 << 40
	mem, _, errno := unix.Syscall6(unix.SYS_MMAP, at, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED_NOREPLACE, ^uintptr(0), 0)
	if errno != 0 || mem != at {
		return fmt.Errorf("no memory at %#x: %w", at, errno)
	}
	return call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE, at)
}

// startThreads has many calls wait, each of which needs a thread of its own.
func startThreads(string) error {
	done := make(chan bool)
	for range 8 {
		go func() {
			var fds [2]int
			_ = unix.Pipe2(fds[:], 0)
			unix.Close(fds[1])
			_, err := unix.Read(fds[0], make([]byte, 1))
			done <- err == nil
		}()
	}
	for range 8 {
		<-done
	}
	return nil
}

func attempts() map[string]attempt {
	return map[string]attempt{
		"read a file of the directory": {do: opens("DIR/file", os.O_RDONLY), allowed: true},
		"list the directory":           {do: func(dir string) error { _, err := os.ReadDir(dir); return err }, allowed: true},
		"signal itself":                {do: func(string) error { return syscall.Kill(os.Getpid(), 0) }, allowed: true},
		"start threads":                {do: startThreads, allowed: true},

		"read /etc/passwd":             {do: opens("/etc/passwd", os.O_RDONLY)},
		"read its own environment":     {do: opens("/proc/self/environ", os.O_RDONLY)},
		"read beside the directory":    {do: opens("DIR/../secret", os.O_RDONLY)},
		"follow a link out":            {do: opens("DIR/link", os.O_RDONLY)},
		"write a file":                 {do: opens("DIR/file", os.O_WRONLY)},
		"create a file":                {do: opens("DIR/new", os.O_WRONLY|os.O_CREATE)},
		"signal its parent":            {do: func(string) error { return unix.Kill(os.Getppid(), 0) }, killed: true},
		"execute a program":            {do: func(string) error { return unix.Exec("/bin/true", []string{"true"}, nil) }, killed: true},
		"start a process":              {do: calls6(unix.SYS_CLONE, uintptr(unix.SIGCHLD)), killed: true},
		"start a process in new names": {do: calls6(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD)), killed: true},
		"open a socket":                {do: calls6(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM), killed: true},
		"open a pair of sockets":       {do: calls6(unix.SYS_SOCKETPAIR, unix.AF_INET, unix.SOCK_STREAM), killed: true},
		"connect":                      {do: calls6(unix.SYS_CONNECT, 0), killed: true},
		"bind":                         {do: calls6(unix.SYS_BIND, 0), killed: true},
		"trace its parent":             {do: func(string) error { return call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(os.Getppid())) }, killed: true},
		"read its parent's memory":     {do: func(string) error { return call(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid())) }, killed: true},
		"get its parent's descriptor":  {do: calls6(unix.SYS_PIDFD_GETFD, 0, 0), killed: true},
		"mount":                        {do: calls6(unix.SYS_MOUNT), killed: true},
		"unshare":                      {do: calls6(unix.SYS_UNSHARE, unix.CLONE_NEWUSER), killed: true},
		"use io_uring":                 {do: calls6(unix.SYS_IO_URING_SETUP, 1), killed: true},
		"use bpf":                      {do: calls6(unix.SYS_BPF), killed: true},
		"use keys":                     {do: calls6(unix.SYS_KEYCTL), killed: true},
		"change its user":              {do: calls6(unix.SYS_SETUID, 0), killed: true},
		"change a file's mode":         {do: calls6(unix.SYS_FCHMODAT), killed: true},
		"remove a file":                {do: calls6(unix.SYS_UNLINKAT), killed: true},
		"make memory executable":       {do: calls6(unix.SYS_MMAP, 0, 4096, unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE, ^uintptr(0)), killed: true},
		"type into a terminal":         {do: calls6(unix.SYS_IOCTL, 0, unix.TIOCSTI), killed: true},
		"keep its memory in core":      {do: calls6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1), killed: true},
		"raise a limit":                {do: calls6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE, 1), killed: true},
		"load a module":                {do: calls6(unix.SYS_INIT_MODULE), killed: true},
		"make a user fault handler":    {do: calls6(unix.SYS_USERFAULTFD), killed: true},
		"raise a limit by a pointer that looks like nil": {do: raiseLimit, killed: true},
		"shut a socket down":                             {do: calls6(unix.SYS_SHUTDOWN, 0, unix.SHUT_RD), killed: true},
		"steer connections":                              {do: calls6(unix.SYS_SETSOCKOPT, 0, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF), killed: true},
		"change an accept queue":                         {do: calls6(unix.SYS_LISTEN, 0, 0), killed: true},
		"have signals sent":                              {do: calls6(unix.SYS_FCNTL, 0, unix.F_SETSIG, uintptr(unix.SIGKILL)), killed: true},
		"open a pair for datagrams":                      {do: calls6(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), killed: true},
		"hide a file in memory":                          {do: calls6(unix.SYS_MEMFD_CREATE), killed: true},
	}
}

// TestConfined tries each of them in a process of its own.
func TestConfined(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "site")
	for name, text := range map[string]string{"site/file": "x", "secret": "y"} {
		path := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("../secret", dir+"/link"), os.Chmod(top, 0o755), os.Chmod(filepath.Dir(top), 0o755)); err != nil {
		t.Fatal(err)
	}
	// Without cgo, as the worker is built: otherwise not all threads can be confined.
	self := filepath.Join(t.TempDir(), "self")
	build := exec.Command("go", "test", "-c", "-o", self, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, a := range attempts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := exec.Command(self)
			c.Env = []string{roleKey + "=" + name + "=" + dir}
			out, err := c.CombinedOutput()
			status := c.ProcessState.Sys().(syscall.WaitStatus)
			switch {
			case a.killed && status.Signal() != unix.SIGSYS,
				a.allowed && err != nil,
				!a.killed && !a.allowed && status.ExitStatus() != 1,
				!a.killed && !a.allowed && !strings.Contains(string(out), "permission denied"):
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
