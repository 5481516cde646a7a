package observe

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// delayedWorker returns a worker binary that waits until the file gate exists.
func delayedWorker(t *testing.T) (worker, gate string) {
	t.Helper()
	dir := harness.OpenDir(t)
	worker, gate = filepath.Join(dir, "delayed"), filepath.Join(dir, "gate")
	script := fmt.Sprintf("#!/bin/sh\nwhile ! test -e %s; do sleep 0.02; done\nexec %s \"$@\"\n", gate, harness.Binary("worker"))
	harness.MustInstall(t, worker, []byte(script))
	return worker, gate
}

// TestConcurrentConnectionLists requests the connections of one worker many times at once: every client
// gets the list, and the master does not take the worker for one that floods it.
func TestConcurrentConnectionLists(t *testing.T) {
	t.Parallel()
	path := harness.SocketPath(t)
	s := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "1", "--admin", path)
	e, pid := harness.EndpointAt(t, path), s.Workers()[0]
	var asking sync.WaitGroup
	for range 16 {
		asking.Go(func() {
			for range 5 {
				began := time.Now()
				code, body, err := e.Ask("GET", fmt.Sprintf("/connections?slot=0&pid=%d", pid))
				if took := time.Since(began); code != 200 && took < 3*time.Second { // the time limit of the server
					t.Errorf("list of connections: %d %s after %v, error %v; want 200", code, body, took, err)
					return
				}
			}
		})
	}
	asking.Wait()
	if now := s.Workers(); !slices.Equal(now, []int{pid}) {
		t.Errorf("worker %d was replaced by %v", pid, now)
	}
}

// TestHealth requests /healthz and /readyz in every state of a server, over a unix socket and TCP.
func TestHealth(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 1<<30)
	for kind, addr := range map[string]string{"unix": harness.SocketPath(t), "tcp": harness.Loopback(harness.FreePort(t))} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			worker, gate := delayedWorker(t)
			e := harness.EndpointAt(t, addr)
			s := harness.Launch(t, harness.Plan{Args: append(harness.Verbosely(base), "--workers", "2", "--worker", worker, "--lame-duck", "1m", "--admin", addr)})
			harness.Await(t, 5*time.Second, "state starting", func() bool { return e.Says("/readyz", 503, "starting") })
			e.MustSay("/healthz", 200, "starting")

			harness.Write(t, gate, nil)
			s.AwaitServing()
			e.MustSay("/readyz", 200, "serving")
			e.MustSay("/healthz", 200, "serving")

			slow := s.Begin("/huge", 64<<10)
			s.Signal(syscall.SIGTERM)
			harness.Await(t, 5*time.Second, "state lame-duck", func() bool { return e.Says("/readyz", 503, "lame-duck") })
			e.MustSay("/healthz", 200, "lame-duck")
			s.MustServe("/", "front")
			time.Sleep(50 * time.Millisecond) // a stop within 30 ms of another is the same one

			s.Signal(syscall.SIGTERM)
			harness.Await(t, 5*time.Second, "state draining", func() bool { return e.Says("/readyz", 503, "draining") })
			e.MustSay("/healthz", 200, "draining")
			s.AwaitRefusal()
			slow.Close()
			s.MustExit(8 * time.Second)
			if code, body, err := e.Ask("GET", "/healthz"); err == nil {
				t.Errorf("after the server has exited, %s responds with %d %s", addr, code, body)
			}
			if kind == "unix" {
				e.MustBeGone()
			}
		})
	}
}

// TestAdminInUse starts a second server with the first one's admin address: it refuses to start, and the
// first one is not affected.
func TestAdminInUse(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for kind, addr := range map[string]string{"unix": harness.SocketPath(t), "tcp": harness.Loopback(harness.FreePort(t))} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, base, "--admin", addr)
			workers := s.Workers()
			harness.Attempt(t, harness.Plan{Args: append(harness.Verbosely(base), "--admin", addr)}).
				Rejects(t, 1, "--admin "+addr, "in use by another server", "choose another")
			e := harness.EndpointAt(t, addr)
			e.MustSay("/readyz", 200, "serving")
			if pid := e.Pool().PID; pid != s.PID() {
				t.Errorf("%s belongs to master %d, want %d", addr, pid, s.PID())
			}
			if now := s.Workers(); !slices.Equal(now, workers) {
				t.Errorf("the workers are %v, want %v", now, workers)
			}
			s.MustServe("/", "front")
			s.Stop(5 * time.Second)
		})
	}
}

// TestAdminSocketFile checks the socket file: only its owner may use it, a stale one of a killed master
// is replaced, and a master removes its own when it stops.
func TestAdminSocketFile(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	path := harness.SocketPath(t)
	e := harness.EndpointAt(t, path)
	generous := harness.Plan{Before: []string{"sh", "-c", `umask 0; exec "$0" "$@"`}, Args: append(harness.Verbosely(base), "--admin", path)}
	s := harness.ServeAs(t, generous)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("%s: %v, %v; want a socket of mode 0600", path, info.Mode(), err)
	}
	if os.Geteuid() == 0 { // only root can run a command as another user
		harness.Attempt(t, harness.Plan{Nobody: true, Args: []string{"status", "--admin", path}}).Rejects(t, 1, path, "permission denied", "run this command as user 0")
	}
	s.Signal(syscall.SIGKILL)
	s.Wait(5 * time.Second)
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the socket of the killed master is gone: %v", err)
	}
	e.Order("status").Rejects(t, 1, path, "connection refused", "has exited")

	next := harness.ServeAs(t, generous)
	e.MustSay("/readyz", 200, "serving")
	if pid := e.Pool().PID; pid != next.PID() {
		t.Errorf("the socket belongs to master %d, want %d", pid, next.PID())
	}
	next.Stop(5 * time.Second)
	e.MustBeGone()
	e.Order("status").Rejects(t, 1, path, "no such socket")
}

// TestCommandsRefusedOverTCP checks that reload, stop and scale need a unix socket.
func TestCommandsRefusedOverTCP(t *testing.T) {
	t.Parallel()
	addr := harness.Loopback(harness.FreePort(t))
	s := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--admin", addr)
	workers := s.Workers()
	e := harness.EndpointAt(t, addr)
	for _, target := range []string{"/reload", "/stop", "/scale?workers=5"} {
		for _, method := range []string{"POST", "GET", "PUT"} {
			code, body, err := e.Ask(method, target)
			if err != nil || code != 403 || !strings.Contains(body, "unix socket") {
				t.Errorf("%s %s: %d %q, error %v; want 403", method, target, code, body, err)
			}
		}
	}
	for _, order := range [][]string{{"reload"}, {"stop"}, {"scale", "5"}} {
		e.Order(order...).Rejects(t, 1, addr, "reload, stop and scale need a unix socket", "--admin /PATH/TO/SOCKET")
	}
	if now := s.Workers(); !slices.Equal(now, workers) {
		t.Errorf("the workers are %v, want %v", now, workers)
	}
	s.Stop(5 * time.Second)
}
