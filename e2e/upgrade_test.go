package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestUpgrade replaces the program of the master, again and again, under idle
// connections and a download: the process stays, its workers are replaced, and
// no client notices.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	write(t, filepath.Join(base, "big"), pattern(64<<20))
	dir := copies(t, "master", "worker")
	s := serveAs(t, plan{binary: filepath.Join(dir, "master"), args: append(verbosely(base), "--workers", "2")})
	idle := s.oneForEach()
	download, err := connectNarrow(s.port, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer download.Close()
	if err := download.send(request("GET", "/big")); err != nil {
		t.Fatal(err)
	}
	if _, err := download.in.Peek(1); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		old := s.workers()
		s.signal(syscall.SIGUSR2)
		s.log.await(t, 10*time.Second, "upgrade", s.exited, func(all []event) bool {
			return len(withMessage(all, "upgraded")) == n
		})
		s.awaitWorkers(2, old...)
		for _, c := range idle {
			if r := s.mustAsk(c, request("GET", "/")); r.status != 200 || r.closes() {
				t.Errorf("after upgrade %d an idle client gets %d, closes %v", n, r.status, r.closes())
			}
		}
		s.mustServe("/", "front")
	}
	// The workers of the new program are its own: it sees them die.
	victim := s.workers()[0]
	kill(t, victim, syscall.SIGKILL)
	s.awaitWorkers(2, victim)
	if r, err := download.reply("GET"); err == nil && !slices.Equal(r.body, pattern(64<<20)) {
		t.Error("the download has other bytes")
	}
	s.signal(syscall.SIGTTIN)
	s.awaitWorkers(3)
	s.stop(5 * time.Second)
}

// TestUpgradeFails gives the master a program that cannot be executed, and one
// that does not accept its options: it goes on as it was.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	const line = `^phalanx: upgrade: .*%s; the old master goes on$`
	outlive(t, "master", syscall.SIGUSR2,
		spoilt{"no program", fmt.Sprintf(line, "exec format error")},
		spoilt{"#!/bin/sh\necho no such flag\nexit 64", fmt.Sprintf(line, "no such flag")})
}

// TestCheck looks at the options and starts nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	s := launch(t, plan{args: []string{"--check", "--base", base}})
	if code := s.wait(5 * time.Second); code != 0 || s.log.String()+s.out.String() != "" {
		t.Errorf("exit status %d, %s%s", code, s.log, s.out)
	}
	s = launch(t, plan{args: []string{"--check", "--base", base + "/none"}})
	if code := s.wait(5 * time.Second); code != 78 {
		t.Errorf("exit status %d, want 78: %s", code, s.log)
	}
}
