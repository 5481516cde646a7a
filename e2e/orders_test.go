package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOrders has the commands do what the signals do, and say what they did.
func TestOrders(t *testing.T) {
	t.Parallel()
	s, e := seen(t, tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	idle := s.oneForEach()
	old := s.workers()
	e.order("reload").does(t, "2 workers replaced")
	s.awaitWorkers(2, old...)
	e.order("scale", "4").does(t, "4 workers serving")
	s.awaitWorkers(4)
	e.order("scale", "1").does(t, "1 worker serving")
	if p := e.pool(); p.Slots != 1 {
		t.Errorf("there are %d slots, want 1", p.Slots)
	}
	e.order("scale", "1").does(t, "1 worker serving")
	for pid, c := range idle {
		if r := s.mustAsk(c, request("GET", "/")); r.status != 200 || r.closes() {
			t.Errorf("a client of worker %d: %d, closes %v", pid, r.status, r.closes())
		}
	}
	for _, n := range []string{"0", "5000", "two", ""} {
		e.order("scale", n).rejects(t, 64, "1 to 1024")
	}
	e.order("scale").rejects(t, 64, "N is missing")
	for _, n := range []string{"0", "5000", "-1", "two", ""} {
		code, body, err := e.ask("POST", "/scale?workers="+n)
		if err != nil || code != 400 && code != 409 || strings.Count(body, "\n") != 1 {
			t.Errorf("POST /scale?workers=%s: %d %q, %v; want a refusal in one line", n, code, body, err)
		}
	}
	if p := e.pool(); p.Slots != 1 || p.State != "serving" {
		t.Errorf("there are %d slots, %s; want 1, serving", p.Slots, p.State)
	}
	s.stop(15 * time.Second)
}

// TestOrdersNotDone spoils what a reload needs: the command fails and says why,
// and the pool goes on.
func TestOrdersNotDone(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	dir, path := copies(t, "master", "worker"), socketPath(t)
	config, worker := filepath.Join(dir, "config"), filepath.Join(dir, "worker")
	write(t, config, []byte("workers = 2\n"))
	s := serveAs(t, plan{binary: filepath.Join(dir, "master"), args: append(verbosely(base), "--config", config, "--admin", path)})
	old, e := s.workers(), endpointAt(t, path)

	write(t, config, []byte("worker = 2\nnonsense\n"))
	e.order("reload").rejects(t, 1, "not done: ", config)
	write(t, config, []byte("workers = 2\nhang-timeout = 5s\n"))
	e.order("reload").rejects(t, 1, "not done: ", "--hang-timeout", "needs a restart")
	write(t, config, []byte("workers = 2\n"))
	mustInstall(t, worker, []byte("#!/bin/sh\necho broken for good >&2\nexit 3\n"))
	e.order("reload").rejects(t, 1, "not done: ", worker)
	if now := s.workers(); !slices.Equal(now, old) {
		t.Errorf("the workers are %v, and were %v", now, old)
	}
	e.mustSay("/healthz", 200, "serving")
	s.mustServe("/", "front")

	mustInstall(t, worker, original(t, "worker"))
	if o := e.order("reload"); o.code != 0 || !strings.HasSuffix(o.out, "workers replaced\n") {
		t.Errorf("with everything as it was: %+v", o)
	}
	s.stop(15 * time.Second)
}

// TestStopWaits lets a download finish before the command says that the server
// has stopped.
func TestStopWaits(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, filepath.Join(base, "huge"), 200<<20)
	s, e := seen(t, base)
	slow := s.begin("/huge", 64<<10)
	command := launch(t, plan{args: []string{"stop", "--admin", e.addr}})
	s.awaitRefusal()
	if err := slow.trickle(16<<10, 700*time.Millisecond); err != nil {
		t.Errorf("the throttled part: %v", err)
	}
	if command.gone() || s.gone() {
		t.Error("somebody did not wait for the download")
	}
	s.mustComplete(slow)
	outcome{command.wait(5 * time.Second), command.out.String(), command.log.String()}.does(t, "stopped")
	if code := s.wait(5 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	e.mustBeGone()
}

// TestOrdersAtOnce gives several orders in the same moment: each is answered,
// and the pool is whole afterwards.
func TestOrdersAtOnce(t *testing.T) {
	t.Parallel()
	s, e := seen(t, tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	answers := make(chan string)
	orders := []string{"/reload", "/scale?workers=3", "/reload", "/scale?workers=2", "/reload"}
	for _, target := range orders {
		go func() {
			code, body, err := e.ask("POST", target)
			if err != nil || code != 200 && code != 409 {
				t.Errorf("POST %s: %d %q, %v", target, code, body, err)
			}
			answers <- target + ": " + strings.TrimSpace(body)
		}()
	}
	for range orders {
		t.Log(<-answers)
	}
	e.order("scale", "2").does(t, "2 workers serving")
	e.mustSay("/readyz", 200, "serving")
	s.mustServe("/", "front")
	s.signal(syscall.SIGTERM)
	if code := s.wait(15 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}
