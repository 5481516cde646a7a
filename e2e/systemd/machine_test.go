// Package systemd installs the Debian package in containers with a real systemd, of the oldest
// version that the unit supports and of a recent one, and uses it as an operator does. It needs
// root, and half a gigabyte of disk space for each container.
package systemd

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

var roots = flag.String("roots", "/var/tmp/phalanx-systemd", "directory for the root file systems of the containers")

// machine is a container with systemd as PID 1.
type machine struct {
	t    *testing.T
	root string // its root directory on the host
	init int    // pid of its systemd on the host
}

// bootstrap creates the root file system of a Debian release if there is none yet.
func bootstrap(t *testing.T, suite string) string {
	t.Helper()
	root := filepath.Join(*roots, suite)
	if _, err := os.Stat(root); err == nil {
		return root
	}
	if err := os.MkdirAll(*roots, 0o755); err != nil {
		t.Fatal(err)
	}
	unfinished := root + ".part"
	if err := os.RemoveAll(unfinished); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(harness.Tool(t, "apt-get install debootstrap", "debootstrap"), "--variant=minbase",
		"--include=systemd,systemd-sysv,dbus,procps,iproute2,curl", suite, unfinished)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("debootstrap %s: %v\n%s", suite, err, out)
	}
	if err := os.Rename(unfinished, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// boot starts a machine. Its changes are discarded at the end of the test.
func boot(t *testing.T, suite string) *machine {
	t.Helper()
	lower, dir := bootstrap(t, suite), t.TempDir()
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m := &machine{t: t, root: filepath.Join(dir, "root")}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, dir, dir)
	if err := unix.Mount("overlay", m.root, "overlay", 0, options); err != nil {
		t.Fatalf("mount an overlay on %s: %v", m.root, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(m.root, unix.MNT_DETACH) })
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Minute)
	cmd := exec.CommandContext(ctx, harness.Tool(t, "apt-get install systemd-container", "systemd-nspawn"), "--quiet",
		"--directory="+m.root, "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self", // as on a real machine
		"--boot", "--private-network", "--register=no", "--keep-unit", "--machine=phalanx-"+suite)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	log, err := os.Create(filepath.Join(dir, "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	harness.Await(t, time.Minute, "the machine's first process", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			return false
		}
		m.init, _ = strconv.Atoi(strings.TrimSpace(string(children)))
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.init)) // earlier it is nspawn's own
		return err == nil && string(command) == "systemd\n"
	})
	harness.Await(t, time.Minute, "the end of the boot", func() bool {
		out, _ := m.try("systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	})
	return m
}

// try runs a command in the machine and returns its output.
func (m *machine) try(args ...string) (string, error) {
	enter := []string{"-t", strconv.Itoa(m.init), "-p", "-m", "-u", "-i", "-n", "-C", "--"}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a command that has to succeed and returns its output, trimmed.
func (m *machine) must(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		journal, _ := m.try("journalctl", "--no-pager", "-n", "40", "-u", "phalanx")
		m.t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out, journal)
	}
	return strings.TrimSpace(out)
}

// property returns a property of the service from systemctl show.
func (m *machine) property(name string) string {
	m.t.Helper()
	return m.must("systemctl", "show", "--property="+name, "--value", "phalanx.service")
}

// write writes a file in the machine.
func (m *machine) write(path, text string) {
	m.t.Helper()
	to := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		m.t.Fatal(err)
	}
	harness.Write(m.t, to, []byte(text))
}

// inside calls f on a thread in the machine's network namespace.
func (m *machine) inside(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.init))
		if err != nil {
			result <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// dial connects to a port in the machine. Any thread can use the connection.
func (m *machine) dial(port int) (c net.Conn, err error) {
	err = m.inside(func() (err error) {
		c, err = net.DialTimeout("tcp", harness.Loopback(port), 20*time.Second)
		return err
	})
	return c, err
}
