package observe

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestAdminCommands runs reload and scale through the admin endpoint: each command waits until it is
// done and prints the result, and invalid ones are refused.
func TestAdminCommands(t *testing.T) {
	t.Parallel()
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2", "--keepalive", "10m")
	idle := s.OneForEach()
	old := s.Workers()
	e.Order("reload").Succeeds(t, "2 workers replaced")
	s.AwaitWorkers(2, old...)
	e.Order("scale", "4").Succeeds(t, "4 workers serving")
	s.AwaitWorkers(4)
	e.Order("scale", "1").Succeeds(t, "1 worker serving")
	if p := e.Pool(); p.Slots != 1 {
		t.Errorf("%d slots, want 1", p.Slots)
	}
	e.Order("scale", "1").Succeeds(t, "1 worker serving")
	for _, c := range idle {
		s.MustPersist(c)
	}
	for _, n := range []string{"0", "5000", "two", ""} {
		e.Order("scale", n).Rejects(t, 64, "1 to 1024")
	}
	e.Order("scale").Rejects(t, 64, "N is missing")
	for _, n := range []string{"0", "5000", "-1", "two", ""} {
		code, body, err := e.Ask("POST", "/scale?workers="+n)
		if err != nil || code != 400 && code != 409 || strings.Count(body, "\n") != 1 {
			t.Errorf("POST /scale?workers=%s: %d %q, error %v; want 400 or 409 with one line", n, code, body, err)
		}
	}
	if p := e.Pool(); p.Slots != 1 || p.State != "serving" {
		t.Errorf("%d slots, state %s; want 1, serving", p.Slots, p.State)
	}
	s.Stop(15 * time.Second)
}

// TestReloadCommandFails gives a reload an invalid options file, a changed option that needs a restart,
// and a worker that does not start: the command fails and says why, and the pool continues.
func TestReloadCommandFails(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	dir, path := harness.Copies(t, "master", "worker"), harness.SocketPath(t)
	config, worker := filepath.Join(dir, "config"), filepath.Join(dir, "worker")
	harness.Write(t, config, []byte("workers = 2\n"))
	s := harness.ServeAs(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: append(harness.Verbosely(base), "--config", config, "--admin", path)})
	old, e := s.Workers(), harness.EndpointAt(t, path)

	harness.Write(t, config, []byte("worker = 2\nnonsense\n"))
	e.Order("reload").Rejects(t, 1, config)
	harness.Write(t, config, []byte("workers = 2\nhang-timeout = 5s\n"))
	e.Order("reload").Rejects(t, 1, "--hang-timeout", "restart to apply it")
	harness.Write(t, config, []byte("workers = 2\n"))
	harness.MustInstall(t, worker, []byte("#!/bin/sh\necho broken for good >&2\nexit 3\n"))
	e.Order("reload").Rejects(t, 1, worker)
	harness.Await(t, 5*time.Second, "the old workers, and no others", func() bool { return slices.Equal(s.Workers(), old) })
	e.MustSay("/healthz", 200, "serving")
	s.MustServe("/", "front")

	harness.MustInstall(t, worker, harness.Original(t, "worker"))
	if o := e.Order("reload"); o.Code != 0 || !strings.HasSuffix(o.Out, "workers replaced\n") {
		t.Errorf("after the repair: %+v, want a successful reload", o)
	}
	s.Stop(15 * time.Second)
}

// TestStopWaitsForDownload stops the server with the stop command during a download: server and command
// exit once the download is completed.
func TestStopWaitsForDownload(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 64<<20)
	s, e := harness.ServeWithAdmin(t, base)
	slow := s.Begin("/huge", 64<<10)
	command := harness.Launch(t, harness.Plan{Args: []string{"stop", "--admin", e.Addr}})
	s.AwaitRefusal()
	if err := slow.Trickle(16<<10, 700*time.Millisecond); err != nil {
		t.Errorf("during the drain: %v", err)
	}
	if command.Gone() || s.Gone() {
		t.Error("the server or the command exited before the download ended")
	}
	s.MustComplete(slow)
	harness.Outcome{Code: command.Wait(5 * time.Second), Out: command.Out.String(), Err: command.Log.String()}.Succeeds(t, "stopped")
	s.MustExit(5 * time.Second)
	e.MustBeGone()
}

// TestConcurrentAdminCommands sends several commands at once: each gets a response, and the pool is
// complete afterwards.
func TestConcurrentAdminCommands(t *testing.T) {
	t.Parallel()
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	answers := make(chan string)
	orders := []string{"/reload", "/scale?workers=3", "/reload", "/scale?workers=2", "/reload"}
	for _, target := range orders {
		go func() {
			code, body, err := e.Ask("POST", target)
			if err != nil || code != 200 && code != 409 {
				t.Errorf("POST %s: %d %q, error %v; want 200 or 409", target, code, body, err)
			}
			answers <- target + ": " + strings.TrimSpace(body)
		}()
	}
	for range orders {
		t.Log(<-answers)
	}
	e.Order("scale", "2").Succeeds(t, "2 workers serving")
	e.MustSay("/readyz", 200, "serving")
	s.MustServe("/", "front")
	s.Signal(syscall.SIGTERM)
	s.MustExit(15 * time.Second)
}
