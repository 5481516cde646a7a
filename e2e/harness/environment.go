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

// openFiles is the limit of open files of every test process, if the machine
// allows it: enough for both ends of ten thousand connections.
const openFiles = 65536

// enclose gives the tests the same environment whether they are started from a
// terminal, a script, a service or nohup: umask, variables, signals, descriptors
// and limits. Launch decides what a master gets beyond that.
func enclose() error {
	syscall.Umask(0o022)
	keepVariables()
	if err := handleSignals(); err != nil {
		return err
	}
	// Every master would inherit a descriptor that leaked from the caller.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close inherited descriptors: %w", err)
	}
	none := syscall.Rlimit{}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &none); err != nil {
		return fmt.Errorf("limit core dumps: %w", err)
	}
	return allowFiles()
}

// allowFiles sets the limit of open files. Without privileges it can only raise
// the soft limit to the hard one; NeedFiles fails tests for which that is too low.
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

// NeedFiles fails the test unless n open files are allowed.
func NeedFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n {
		t.Fatalf("only %d open files are allowed, want %d: raise it with ulimit -Hn (%v)", limit.Cur, n, err)
	}
}

// keepVariables removes all environment variables but those needed to find and
// build programs, and sets locale, time zone and terminal type.
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

// handleSignals installs a handler for each signal that the caller ignored. An
// ignored signal stays ignored across exec, as nohup intends, so no master would
// receive its SIGHUP. A signal with a handler gets its default action at exec.
func handleSignals() error {
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
	discarded := make(chan os.Signal, 1) // never read: this process still ignores them
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if ignored&(1<<(sig-1)) != 0 {
			signal.Notify(discarded, sig)
		}
	}
	return nil
}

// BareEnv returns the environment in which a test runs every master: PATH as it is
// outside, the other variables fixed, and none that begins with PHALANX_.
func BareEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dirs.programs, "TMPDIR=" + dirs.programs, "LANG=C.UTF-8", "TZ=UTC",
		"GORACE=halt_on_error=1 log_path=" + raceLog(),
	}
}
