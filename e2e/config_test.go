package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBase gives directories that cannot be served.
func TestBase(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"file": "no directory"})
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
			attempt(t, plan{nobody: true, args: []string{"--port", "0", "--base", path}}).rejects(t, 78, words...)
		})
	}
}

// TestBaseLinked serves a base that is itself reached through a link, by a
// relative path.
func TestBaseLinked(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"real/index.html": "front"})
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := serveAs(t, plan{workdir: dir, args: verbosely("link")})
	s.mustServe("/", "front")
	s = serveAs(t, plan{workdir: filepath.Join(dir, "real"), args: verbosely("link")[2:]})
	s.mustServe("/", "front")
}

// TestPrivilegedPort asks for a port that only root may take.
func TestPrivilegedPort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		t.Fatal(err)
	}
	port := atoi(strings.TrimSpace(string(text))) - 1
	if port < 1 {
		t.Logf("this machine lets everybody take every port")
		return
	}
	base := tree(t, map[string]string{"index.html": "front"})
	o := attempt(t, plan{nobody: true, args: []string{"--bind", "127.0.0.1", "--port", itoa(port), "--base", base}})
	o.rejects(t, 78, "--port", itoa(port), "privilege", "1024")
}

// TestForeignAddress binds to an address that this machine does not have.
func TestForeignAddress(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	o := attempt(t, plan{args: []string{"--bind", "203.0.113.7", "--port", "0", "--base", base}})
	if o.code != 1 && o.code != 78 {
		t.Errorf("exit status %d, want 1 or 78", o.code)
	}
	o.rejects(t, o.code, "--bind", "203.0.113.7")
}

// TestWorkerBinary gives workers that are none. Whatever they do, the master
// ends, says which binary is at fault, and frees the port.
func TestWorkerBinary(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	dir := tree(t, map[string]string{"text": "not a program", "directory/file": ""})
	impostor := program(t, "impostor")
	cases := []struct {
		name, worker string
		env          []string
		code         int
		words        []string
	}{
		{"missing", dir + "/gone", nil, 78, nil},
		{"directory", dir + "/directory", nil, 78, nil},
		{"not executable", dir + "/text", nil, 78, nil},
		{"ends with 0", "/bin/true", nil, 78, nil},
		{"ends with 1", "/bin/false", nil, 78, nil},
		{"master itself", filepath.Join(binaries, "master"), nil, 78, nil},
		{"never ready", impostor, []string{"IMPOSTOR=mute"}, 78, nil},
		{"never ready nor interrupted", impostor, []string{"IMPOSTOR=deaf"}, 78, nil},
		{"other version", impostor, []string{"IMPOSTOR=old"}, 78, []string{"0.0.0-impostor"}},
		{"garbage", impostor, []string{"IMPOSTOR=garbage"}, 78, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			args := []string{"--bind", "127.0.0.1", "--port", itoa(port), "--base", base, "--worker", c.worker}
			o := attempt(t, plan{args: args, env: c.env})
			o.rejects(t, c.code, append(c.words, "--worker", c.worker)...)
			mustBeFree(t, port)
		})
	}
}

// TestLastWords starts a worker that dies at once and says why: the pool is
// given up, with the worker's own reason.
func TestLastWords(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	port := freePort(t)
	args := []string{"--bind", "127.0.0.1", "--port", itoa(port), "--base", base, "--worker", program(t, "impostor")}
	o := attempt(t, plan{args: args, env: []string{"IMPOSTOR=dying"}})
	if o.code == 0 {
		t.Error("exit status 0, want another")
	}
	o.rejects(t, o.code, "the impostor's last words")
	mustBeFree(t, port)
}

// TestWorkerBeside starts a master that has no worker in its directory.
func TestWorkerBeside(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	alone := copies(t, "master")
	master := filepath.Join(alone, "master")
	attempt(t, plan{binary: master, args: []string{"--port", "0", "--base", base}}).rejects(t, 78, "--worker", alone+"/worker")

	// With the worker named it serves, also when it is found through a link.
	s := serveAs(t, plan{binary: master, args: append(verbosely(base), "--worker", filepath.Join(binaries, "worker"))})
	s.mustServe("/", "front")
	link := filepath.Join(openDir(t), "phalanx")
	if err := os.Symlink(filepath.Join(binaries, "master"), link); err != nil {
		t.Fatal(err)
	}
	s = serveAs(t, plan{binary: link, args: verbosely(base)})
	s.mustServe("/", "front")
}

// mustBeFree takes the port as any other program would.
func mustBeFree(t *testing.T, port int) {
	t.Helper()
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		t.Errorf("the port is not free again: %v", err)
		return
	}
	l.Close()
}
