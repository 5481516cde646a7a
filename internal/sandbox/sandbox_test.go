package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/sandbox/thief"
)

// roleKey makes the test binary a process that confines itself and then makes the attempt that
// the variable names.
const roleKey = "SANDBOX_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleKey)
	if role == "" {
		os.Exit(m.Run())
	}
	name, dir, _ := strings.Cut(role, "=")
	parent := os.Getppid() // a confined process cannot ask
	confine := Confine
	if ofKeeping()[name] != nil {
		confine = ConfineKeeping
	}
	if err := confined(dir, confine); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	if err := try(name, dir, parent); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// try makes an attempt that must succeed in a worker, or one that must not.
func try(name, dir string, parent int) error {
	for _, all := range []map[string]func(string) error{allowances(), ofKeeping()} {
		if do := all[name]; do != nil {
			return do(dir)
		}
	}
	a, ok := thief.Find(name)
	if !ok {
		return fmt.Errorf("no attempt is named %q", name)
	}
	return a.Do(thief.Victims{Root: dir, Master: parent, Sibling: parent})
}

// confined puts this process into its sandbox, as user nobody if it is root.
func confined(dir string, confine func(...int) error) error {
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
	return confine(fd)
}

// allowances lists what a confined process can do.
func allowances() map[string]func(dir string) error {
	return map[string]func(string) error{
		"read a file": func(dir string) error { _, err := os.ReadFile(dir + "/file"); return err },
		"list":        func(dir string) error { _, err := os.ReadDir(dir); return err },
		"signal":      func(string) error { return syscall.Kill(os.Getpid(), 0) },
		"threads":     startThreads,
		"limits":      func(string) error { return syscall.Getrlimit(unix.RLIMIT_CORE, new(syscall.Rlimit)) },
	}
}

// ofKeeping lists what a process that stores files in a directory can do, and what it cannot.
func ofKeeping() map[string]func(dir string) error {
	denied := func(err error) error {
		if errors.Is(err, unix.EACCES) {
			return nil
		}
		return fmt.Errorf("%v, want %w", err, unix.EACCES)
	}
	return map[string]func(string) error{
		"keep files":        keepFiles,
		"keep beside":       func(dir string) error { return denied(os.WriteFile(dir+"/../beside", nil, 0o600)) },
		"keep read beside":  func(dir string) error { _, err := os.ReadFile(dir + "/../secret"); return denied(err) },
		"keep write beside": func(dir string) error { return denied(os.WriteFile(dir+"/../secret", nil, 0o600)) },
		"keep a link":       func(dir string) error { _, err := os.ReadFile(dir + "/link"); return denied(err) },
		"keep read etc":     func(string) error { _, err := os.ReadFile("/etc/passwd"); return denied(err) },
		"move beside": func(dir string) error {
			return denied(unix.Renameat(unix.AT_FDCWD, dir+"/file", unix.AT_FDCWD, dir+"/../beside"))
		},
	}
}

// keepFiles does what a file store does.
func keepFiles(dir string) error {
	const temp, name = "/.temp", "/kept"
	f, err := os.OpenFile(dir+temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("kept")
	times := []unix.Timespec{{Sec: 1}, {Nsec: unix.UTIME_OMIT}}
	return errors.Join(err, f.Truncate(2), unix.Renameat(unix.AT_FDCWD, dir+temp, unix.AT_FDCWD, dir+name),
		unix.UtimesNanoAt(unix.AT_FDCWD, dir+name, times, unix.AT_SYMLINK_NOFOLLOW), unix.Unlinkat(unix.AT_FDCWD, dir+name, 0))
}

// startThreads makes many blocking calls, each of which needs a thread of its own.
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

// TestConfined tries each of them, and everything that an intruder might try, each in a process
// of its own.
func TestConfined(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "site")
	for name, text := range map[string]string{"site/file": "x", "secret": "y"} {
		path := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o644)); err != nil {
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
	run := func(t *testing.T, name string) (string, syscall.WaitStatus) {
		t.Parallel()
		c := exec.Command(self)
		c.Env = []string{roleKey + "=" + name + "=" + dir}
		out, _ := c.CombinedOutput() // the status says it
		return string(out), c.ProcessState.Sys().(syscall.WaitStatus)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // nobody keeps files there
		t.Fatal(err)
	}
	names := slices.Collect(maps.Keys(allowances()))
	for _, name := range slices.AppendSeq(names, maps.Keys(ofKeeping())) {
		t.Run(name, func(t *testing.T) {
			if out, status := run(t, name); status.ExitStatus() != 0 {
				t.Errorf("status %#x: %s", status, out)
			}
		})
	}
	for _, a := range thief.All() {
		t.Run(a.Name, func(t *testing.T) {
			out, status := run(t, a.Name)
			if a.Ends && status.Signal() != unix.SIGSYS || !a.Ends && status.ExitStatus() != 1 {
				t.Errorf("status %#x: %s", status, out)
			}
		})
	}
}
