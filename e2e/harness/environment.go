package harness

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openFiles is the limit of open files that every process of a test has, where
// the machine allows it: enough for both ends of ten thousand connections.
const openFiles = 65536

// enclose keeps out of the tests what their caller happens to have: whoever
// starts them, from a terminal, a script, a service or nohup, they see the same.
// What a master is started with beyond that is Launch's to say.
func enclose() error {
	syscall.Umask(0o022)
	keepVariables()
	if err := heedSignals(); err != nil {
		return err
	}
	// A descriptor that the caller forgot to close would be one of every master.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close inherited descriptors: %w", err)
	}
	none := syscall.Rlimit{}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &none); err != nil {
		return fmt.Errorf("limit core dumps: %w", err)
	}
	return allowFiles()
}

// allowFiles sets the limit of open files. Without privilege the hard limit can
// only be taken as it is: NeedFiles fails those tests for which it is too low.
func allowFiles() error {
	wanted := syscall.Rlimit{Cur: openFiles, Max: openFiles}
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &wanted)
	if errors.Is(err, syscall.EPERM) {
		if err = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &wanted); err == nil {
			wanted.Cur = wanted.Max
			err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &wanted)
		}
	}
	if err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	return nil
}

// NeedFiles fails a test that needs more open files than are allowed.
func NeedFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n {
		t.Fatalf("only %d open files are allowed, want %d: raise it with ulimit -Hn (%v)", limit.Cur, n, err)
	}
}

// keepVariables leaves of the environment what programs are found and built by.
func keepVariables() {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case name == "PATH", name == "HOME", name == "TMPDIR", name == "USER", strings.HasPrefix(name, "XDG_"):
		case name == "GODEBUG", name == "GOMAXPROCS", name == "GOGC", name == "GOMEMLIMIT", name == "GOTRACEBACK":
			os.Unsetenv(name) // read by programs, not by the go command
		case strings.HasPrefix(name, "GO"), strings.HasPrefix(name, "CGO_"), name == "CC":
		default:
			os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{"LANG": "C.UTF-8", "TZ": "UTC", "TERM": "dumb"} {
		os.Setenv(name, value)
	}
}

// heedSignals makes an end of inherited deafness: a signal that is ignored stays
// so across exec, as nohup wants it, and no master would hear its hang-up. One
// that has a handler gets its default action in whatever is executed.
func heedSignals() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "\nSigIgn:\t")
	mask, _, _ := strings.Cut(rest, "\n")
	ignored, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return fmt.Errorf("/proc/self/status: SigIgn: %w", err)
	}
	unheard := make(chan os.Signal, 1) // nobody reads it: this process goes on ignoring them
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if ignored&(1<<(sig-1)) != 0 {
			signal.Notify(unheard, sig)
		}
	}
	return nil
}

// BareEnv is the environment of every master: nothing of the caller's, and no
// PHALANX_ variable.
func BareEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dirs.programs, "TMPDIR=" + dirs.programs, "LANG=C.UTF-8", "TZ=UTC",
		"GORACE=halt_on_error=1 log_path=" + raceLog(),
	}
}
