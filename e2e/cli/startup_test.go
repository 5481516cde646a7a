package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestUnusableBase refuses to start with a document root that cannot be served.
func TestUnusableBase(t *testing.T) {
	t.Parallel()
	dir := harness.Tree(t, map[string]string{"file": "no directory"})
	cases := []struct {
		name, base string
		prepare    func(path string) error
		words      []string
	}{
		{"missing", "gone", nil, []string{"no such", "another"}},
		{"file", "file", nil, []string{"not a directory", "give"}},
		{"beneath a file", "file/beneath", nil, []string{"file/beneath"}},
		{"unreadable", "locked", func(p string) error { return os.Mkdir(p, 0) }, []string{"permission denied", "chmod"}},
		{"not searchable", "listed", func(p string) error { return os.Mkdir(p, 0o444) }, []string{"permission denied", "chmod"}},
		{"fifo", "pipe", func(p string) error { return syscall.Mkfifo(p, 0o666) }, []string{"not a directory", "give"}},
		{"dangling", "link", func(p string) error { return os.Symlink("nowhere", p) }, []string{"no such"}},
		{"odd name", "a\nb", nil, []string{"no such"}},
	}
	for _, c := range cases {
		path := filepath.Join(dir, c.base)
		if c.prepare != nil {
			if err := c.prepare(path); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(c.name, func(t *testing.T) {
			words := append(c.words, "--base", dir)
			harness.Attempt(t, harness.Plan{Nobody: true, Args: []string{"--port", "0", "--base", path}}).Rejects(t, 78, words...)
		})
	}
}

// TestBaseThroughSymlink serves a document root given as a relative path to a symbolic link.
func TestBaseThroughSymlink(t *testing.T) {
	t.Parallel()
	dir := harness.Tree(t, map[string]string{"real/index.html": "front"})
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := harness.ServeAs(t, harness.Plan{Workdir: dir, Args: harness.Verbosely("link")})
	s.MustServe("/", "front")
	s = harness.ServeAs(t, harness.Plan{Workdir: filepath.Join(dir, "real"), Args: harness.Verbosely("link")[2:]})
	s.MustServe("/", "front")
}

// TestPrivilegedPort refuses to start on a port that only root may bind.
func TestPrivilegedPort(t *testing.T) {
	t.Parallel()
	text := harness.Read(t, "/proc/sys/net/ipv4/ip_unprivileged_port_start")
	port := harness.Atoi(strings.TrimSpace(string(text))) - 1
	if port < 1 {
		t.Logf("any user may bind any port on this machine")
		return
	}
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	o := harness.Attempt(t, harness.Plan{Nobody: true, Args: []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--base", base}})
	o.Rejects(t, 78, "--port", strconv.Itoa(port), "CAP_NET_BIND_SERVICE", "1024")
}

// TestBindForeignAddress refuses to start on an address that the machine does not have.
func TestBindForeignAddress(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	o := harness.Attempt(t, harness.Plan{Args: []string{"--bind", "203.0.113.7", "--port", "0", "--base", base}})
	if o.Code != 1 && o.Code != 78 {
		t.Errorf("exit status %d, want 1 or 78", o.Code)
	}
	o.Rejects(t, o.Code, "--bind", "203.0.113.7")
}

// TestStopBeforeOptions stops a server whose config file is a pipe that nobody writes to.
func TestStopBeforeOptions(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "phalanx.conf")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Launch(t, harness.Plan{Args: []string{"--config", pipe, "--check"}})
	comm := fmt.Sprintf("/proc/%d/comm", s.PID())
	harness.Await(t, harness.InTime(20*time.Second), "the master to run", func() bool { return string(harness.Read(t, comm)) == "phalanx-master\n" })
	s.Signal(syscall.SIGTERM)
	if code := s.Wait(harness.InTime(20 * time.Second)); code != 130 {
		t.Errorf("exit status %d, want 130", code)
	}
	if text := s.Log.String(); !strings.Contains(text, "stopped while reading the options; ") || strings.Count(text, "\n") != 1 {
		t.Errorf("%q", text)
	}
}

// impostor returns the path of a program that is not a worker and misbehaves as its name says.
func impostor(t *testing.T, manner string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), manner)
	if err := os.Symlink(harness.Program(t, "impostor"), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUnusableWorkerBinary starts a master with programs that are not workers. Whatever they do, the master
// exits, names the binary and frees the port.
func TestUnusableWorkerBinary(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	dir := harness.Tree(t, map[string]string{"text": "not a program", "directory/file": ""})
	cases := []struct {
		name, worker string
		code         int
		words        []string
	}{
		{"missing", dir + "/gone", 78, nil},
		{"directory", dir + "/directory", 78, nil},
		{"not executable", dir + "/text", 78, nil},
		{"ends with 0", "/bin/true", 78, nil},
		{"ends with 1", "/bin/false", 78, nil},
		{"master itself", harness.Binary("master"), 78, nil},
		{"never ready", impostor(t, "mute"), 78, nil},
		{"never ready nor interrupted", impostor(t, "deaf"), 78, nil},
		{"other version", impostor(t, "old"), 78, []string{"0.0.0-impostor"}},
		{"garbage", impostor(t, "garbage"), 78, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := harness.FreePort(t)
			args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--base", base, "--worker", c.worker}
			o := harness.Attempt(t, harness.Plan{Args: args})
			o.Rejects(t, c.code, append(c.words, "--worker", c.worker)...)
			harness.MustBeFree(t, port)
		})
	}
}

// TestWorkerStartErrorIsShown starts a worker that prints an error and exits: the master exits with that
// error.
func TestWorkerStartErrorIsShown(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	port := harness.FreePort(t)
	args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--base", base, "--worker", impostor(t, "dying")}
	o := harness.Attempt(t, harness.Plan{Args: args})
	if o.Code == 0 {
		t.Error("exit status 0, want another")
	}
	o.Rejects(t, o.Code, "the impostor's last words")
	harness.MustBeFree(t, port)
}

// TestWorkerBesideMaster starts a master without a worker in its directory, with --worker, and through a
// symbolic link.
func TestWorkerBesideMaster(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	alone := harness.Copies(t, "master")
	master := filepath.Join(alone, "master")
	harness.Attempt(t, harness.Plan{Binary: master, Args: []string{"--port", "0", "--base", base}}).Rejects(t, 78, "--worker", alone+"/worker")

	// It serves with --worker, and with the worker beside the target of a symbolic link.
	s := harness.ServeAs(t, harness.Plan{Binary: master, Args: append(harness.Verbosely(base), "--worker", harness.Binary("worker"))})
	s.MustServe("/", "front")
	link := filepath.Join(harness.OpenDir(t), "phalanx")
	if err := os.Symlink(harness.Binary("master"), link); err != nil {
		t.Fatal(err)
	}
	s = harness.ServeAs(t, harness.Plan{Binary: link, Args: harness.Verbosely(base)})
	s.MustServe("/", "front")
}
