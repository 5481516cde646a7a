package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tardy writes a worker that waits for a file before it becomes the real one.
func tardy(t *testing.T) (worker, gate string) {
	t.Helper()
	dir := openDir(t)
	worker, gate = filepath.Join(dir, "tardy"), filepath.Join(dir, "gate")
	script := fmt.Sprintf("#!/bin/sh\nwhile ! test -e %s; do sleep 0.02; done\nexec %s \"$@\"\n", gate, filepath.Join(binaries, "worker"))
	mustInstall(t, worker, []byte(script))
	return worker, gate
}

// TestHealth asks in every phase of a server's life, over both kinds of address,
// whether it lives and whether it is ready.
func TestHealth(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, filepath.Join(base, "huge"), 1<<30)
	for kind, addr := range map[string]string{"unix": socketPath(t), "tcp": loopback(freePort(t))} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			worker, gate := tardy(t)
			e := endpointAt(t, addr)
			s := launch(t, plan{args: append(verbosely(base), "--workers", "2", "--worker", worker, "--lame-duck", "1m", "--admin", addr)})
			await(t, 5*time.Second, "starting", func() bool { return e.says("/readyz", 503, "starting") })
			e.mustSay("/healthz", 200, "starting")

			write(t, gate, nil)
			s.awaitServing()
			e.mustSay("/readyz", 200, "serving")
			e.mustSay("/healthz", 200, "serving")

			slow := s.begin("/huge", 64<<10)
			s.signal(syscall.SIGTERM)
			await(t, 5*time.Second, "lame duck", func() bool { return e.says("/readyz", 503, "lame-duck") })
			e.mustSay("/healthz", 200, "lame-duck")
			s.mustServe("/", "front")
			time.Sleep(50 * time.Millisecond) // a stop within 30 ms of another is the same one

			s.signal(syscall.SIGTERM)
			await(t, 5*time.Second, "draining", func() bool { return e.says("/readyz", 503, "draining") })
			e.mustSay("/healthz", 200, "draining")
			s.awaitRefusal()
			slow.Close()
			if code := s.wait(8 * time.Second); code != 0 {
				t.Errorf("exit status %d, want 0", code)
			}
			if code, body, err := e.ask("GET", "/healthz"); err == nil {
				t.Errorf("the server is gone, and %s answers %d %s", addr, code, body)
			}
			if kind == "unix" {
				e.mustBeGone()
			}
		})
	}
}

// TestAdminInUse starts a second master at the address of the first, which goes
// on as if nothing had been.
func TestAdminInUse(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	for kind, addr := range map[string]string{"unix": socketPath(t), "tcp": loopback(freePort(t))} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := serve(t, base, "--admin", addr)
			workers := s.workers()
			attempt(t, plan{args: append(verbosely(base), "--admin", addr)}).
				rejects(t, 1, "admin address "+addr, "in use by another server", "choose another")
			e := endpointAt(t, addr)
			e.mustSay("/readyz", 200, "serving")
			if pid := e.pool().PID; pid != s.pid() {
				t.Errorf("%s is that of %d now, not of %d", addr, pid, s.pid())
			}
			if now := s.workers(); !slices.Equal(now, workers) {
				t.Errorf("workers %v became %v", workers, now)
			}
			s.mustServe("/", "front")
			s.stop(5 * time.Second)
		})
	}
}

// TestAdminSocketFile looks at the file of a socket: who may use it, who has to
// remove it, and whose place it takes.
func TestAdminSocketFile(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	path := socketPath(t)
	e := endpointAt(t, path)
	generous := plan{before: []string{"sh", "-c", `umask 0; exec "$0" "$@"`}, args: append(verbosely(base), "--admin", path)}
	s := serveAs(t, generous)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("%s: %v, %v; want a socket of mode 0600", path, info.Mode(), err)
	}
	if os.Geteuid() == 0 { // else there is no other user to be
		attempt(t, plan{nobody: true, args: []string{"status", "--admin", path}}).rejects(t, 1, path, "permission denied", "belongs to user 0")
	}
	s.signal(syscall.SIGKILL)
	s.wait(5 * time.Second)
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("a master that was killed has left no socket: %v", err)
	}
	e.order("status").rejects(t, 1, path, "nobody answers", "is gone")

	next := serveAs(t, generous)
	e.mustSay("/readyz", 200, "serving")
	if pid := e.pool().PID; pid != next.pid() {
		t.Errorf("the socket is that of %d, want %d", pid, next.pid())
	}
	next.stop(5 * time.Second)
	e.mustBeGone()
	e.order("status").rejects(t, 1, path, "no such socket")
}

// TestAdminForeignFile gives the path of something that is no socket.
func TestAdminForeignFile(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	dir := tree(t, map[string]string{"file": "precious", "directory/file": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, words := range map[string]string{
		"file": "no socket", "directory": "no socket", "pipe": "no socket", "link": "no socket",
		"gone/admin.sock": "there is no directory", "file/admin.sock": "there is no directory",
	} {
		path := filepath.Join(dir, name)
		port := freePort(t)
		args := []string{"--base", base, "--bind", "127.0.0.1", "--port", itoa(port), "--admin", path}
		attempt(t, plan{args: args}).rejects(t, 78, "admin address "+path, words, "choose another")
		mustBeFree(t, port)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if target, err := os.Readlink(filepath.Join(dir, "link")); err != nil || target != "file" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

// TestOrdersOverTCP gives orders where they are not taken.
func TestOrdersOverTCP(t *testing.T) {
	t.Parallel()
	addr := loopback(freePort(t))
	s := serve(t, tree(t, map[string]string{"index.html": "front"}), "--admin", addr)
	workers := s.workers()
	e := endpointAt(t, addr)
	for _, target := range []string{"/reload", "/stop", "/scale?workers=5"} {
		for _, method := range []string{"POST", "GET", "PUT"} {
			code, body, err := e.ask(method, target)
			if err != nil || code != 403 || !strings.Contains(body, "unix socket") {
				t.Errorf("%s %s: %d %q, %v; want 403", method, target, code, body, err)
			}
		}
	}
	for _, order := range [][]string{{"reload"}, {"stop"}, {"scale", "5"}} {
		e.order(order...).rejects(t, 1, addr, "orders need the unix socket", "--admin /PATH/OF/SOCKET")
	}
	if now := s.workers(); !slices.Equal(now, workers) {
		t.Errorf("workers %v became %v", workers, now)
	}
	s.stop(5 * time.Second)
}
