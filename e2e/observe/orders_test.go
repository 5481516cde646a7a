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

// TestOrders has the commands do what the signals do, and say what they did.
func TestOrders(t *testing.T) {
	t.Parallel()
	s, e := harness.Seen(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	idle := s.OneForEach()
	old := s.Workers()
	e.Order("reload").Does(t, "2 workers replaced")
	s.AwaitWorkers(2, old...)
	e.Order("scale", "4").Does(t, "4 workers serving")
	s.AwaitWorkers(4)
	e.Order("scale", "1").Does(t, "1 worker serving")
	if p := e.Pool(); p.Slots != 1 {
		t.Errorf("there are %d slots, want 1", p.Slots)
	}
	e.Order("scale", "1").Does(t, "1 worker serving")
	for pid, c := range idle {
		if r := s.MustAsk(c, harness.Request("GET", "/")); r.Status != 200 || r.Closes() {
			t.Errorf("a client of worker %d: %d, closes %v", pid, r.Status, r.Closes())
		}
	}
	for _, n := range []string{"0", "5000", "two", ""} {
		e.Order("scale", n).Rejects(t, 64, "1 to 1024")
	}
	e.Order("scale").Rejects(t, 64, "N is missing")
	for _, n := range []string{"0", "5000", "-1", "two", ""} {
		code, body, err := e.Ask("POST", "/scale?workers="+n)
		if err != nil || code != 400 && code != 409 || strings.Count(body, "\n") != 1 {
			t.Errorf("POST /scale?workers=%s: %d %q, %v; want a refusal in one line", n, code, body, err)
		}
	}
	if p := e.Pool(); p.Slots != 1 || p.State != "serving" {
		t.Errorf("there are %d slots, %s; want 1, serving", p.Slots, p.State)
	}
	s.Stop(15 * time.Second)
}

// TestOrdersNotDone spoils what a reload needs: the command fails and says why,
// and the pool goes on.
func TestOrdersNotDone(t *testing.T) {
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
	if now := s.Workers(); !slices.Equal(now, old) {
		t.Errorf("the workers are %v, and were %v", now, old)
	}
	e.MustSay("/healthz", 200, "serving")
	s.MustServe("/", "front")

	harness.MustInstall(t, worker, harness.Original(t, "worker"))
	if o := e.Order("reload"); o.Code != 0 || !strings.HasSuffix(o.Out, "workers replaced\n") {
		t.Errorf("with everything as it was: %+v", o)
	}
	s.Stop(15 * time.Second)
}

// TestStopWaitsForDownload lets a download finish before the command says that the server
// has stopped.
func TestStopWaitsForDownload(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 200<<20)
	s, e := harness.Seen(t, base)
	slow := s.Begin("/huge", 64<<10)
	command := harness.Launch(t, harness.Plan{Args: []string{"stop", "--admin", e.Addr}})
	s.AwaitRefusal()
	if err := slow.Trickle(16<<10, 700*time.Millisecond); err != nil {
		t.Errorf("the throttled part: %v", err)
	}
	if command.Gone() || s.Gone() {
		t.Error("somebody did not wait for the download")
	}
	s.MustComplete(slow)
	harness.Outcome{Code: command.Wait(5 * time.Second), Out: command.Out.String(), Err: command.Log.String()}.Does(t, "stopped")
	if code := s.Wait(5 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	e.MustBeGone()
}

// TestOrdersAtOnce gives several orders in the same moment: each is answered,
// and the pool is whole afterwards.
func TestOrdersAtOnce(t *testing.T) {
	t.Parallel()
	s, e := harness.Seen(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	answers := make(chan string)
	orders := []string{"/reload", "/scale?workers=3", "/reload", "/scale?workers=2", "/reload"}
	for _, target := range orders {
		go func() {
			code, body, err := e.Ask("POST", target)
			if err != nil || code != 200 && code != 409 {
				t.Errorf("POST %s: %d %q, %v", target, code, body, err)
			}
			answers <- target + ": " + strings.TrimSpace(body)
		}()
	}
	for range orders {
		t.Log(<-answers)
	}
	e.Order("scale", "2").Does(t, "2 workers serving")
	e.MustSay("/readyz", 200, "serving")
	s.MustServe("/", "front")
	s.Signal(syscall.SIGTERM)
	if code := s.Wait(15 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}
