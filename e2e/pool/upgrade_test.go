package pool

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestUpgrade upgrades the master three times during idle connections and a download: its process stays,
// its workers are replaced, and no client notices.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Write(t, filepath.Join(base, "big"), pattern(16<<20))
	dir := harness.Copies(t, "master", "worker")
	s := harness.ServeAs(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: append(harness.Verbosely(base), "--workers", "2", "--keepalive", "10m")})
	idle := s.OneForEach()
	download := s.DialNarrow(64 << 10)
	s.MustSend(download, harness.Request("GET", "/big"))
	if _, err := download.In.Peek(1); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		old := s.Workers()
		s.Signal(syscall.SIGUSR2)
		s.AwaitMessages(n, "master upgraded")
		s.AwaitWorkers(2, old...)
		for _, c := range idle {
			s.MustPersist(c)
		}
		s.MustServe("/", "front")
	}
	// The new program sees its workers die.
	victim := s.Workers()[0]
	harness.Kill(t, victim, syscall.SIGKILL)
	s.AwaitWorkers(2, victim)
	if r, err := download.Reply("GET"); err == nil && !slices.Equal(r.Body, pattern(16<<20)) {
		t.Error("the content of the download is wrong")
	}
	s.Signal(syscall.SIGTTIN)
	s.AwaitWorkers(3)
	s.Stop(5 * time.Second)
}

// TestUpgradeFails upgrades to programs that cannot be executed or do not accept the options: the master keeps
// running unchanged.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	const line = `"message":"upgrade: .*%s; keeping the current master"`
	surviveBadPrograms(t, "master", syscall.SIGUSR2,
		badProgram{"no program", fmt.Sprintf(line, "exec format error")},
		badProgram{"#!/bin/sh\necho no such flag\nexit 64", fmt.Sprintf(line, "no such flag")})
}

// TestUpgradeWithoutHTTPS upgrades with an option that the server's addresses do not allow, so that the new
// program could not start: the master keeps running unchanged.
func TestUpgradeWithoutHTTPS(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	config := filepath.Join(t.TempDir(), "config")
	harness.Write(t, config, []byte("workers = 2\n"))
	s := harness.ServeAs(t, harness.Plan{Args: append(harness.Verbosely(base), "--config", config)})
	old := s.Workers()
	harness.Write(t, config, []byte("workers = 2\nhsts = 1h\n"))
	s.Signal(syscall.SIGUSR2)
	s.AwaitText("upgrade: --hsts: browsers obey it over HTTPS only")
	s.MustServe("/", "front")
	if now := s.Workers(); !slices.Equal(now, old) {
		t.Errorf("the workers are %v, want %v", now, old)
	}
	s.Stop(5 * time.Second)
}

// TestCheckFlag checks the options with --check, which starts nothing.
func TestCheckFlag(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.Launch(t, harness.Plan{Args: []string{"--check", "--base", base}})
	if code := s.Wait(5 * time.Second); code != 0 || s.Log.String() != "" || s.Out.String() != "the options are valid; the document root is "+base+"\n" {
		t.Errorf("exit status %d, output %s%s; want 0 and one line", code, s.Log, s.Out)
	}
	s = harness.Launch(t, harness.Plan{Args: []string{"--check", "--base", base + "/none"}})
	if code := s.Wait(5 * time.Second); code != 78 {
		t.Errorf("exit status %d, want 78: %s", code, s.Log)
	}
}
