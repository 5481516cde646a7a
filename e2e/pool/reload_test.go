package pool

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestReload reloads three times during idle connections, half a request and downloads: no client notices,
// and with the event loop the old workers exit at once.
func TestReload(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	big := filepath.Join(base, "big")
	harness.Write(t, big, pattern(16<<20))
	s := harness.Serve(t, base, "--workers", "3", "--keepalive", "10m")
	idle := s.OneForEach()
	var downloads []*harness.Client
	for range 6 {
		c := s.DialNarrow(64 << 10)
		s.MustSend(c, harness.Request("GET", "/big"))
		if _, err := c.In.Peek(1); err != nil {
			t.Fatal(err)
		}
		downloads = append(downloads, c)
	}
	for reloads := 0; reloads < 3; {
		half := s.Dial() // a new one each time: a request head has to be complete within 10 s
		began := time.Now()
		s.MustSend(half, "GET / HTTP/1.1\r\nHost: phal")
		s.Replace(syscall.SIGHUP, 3)
		if time.Since(began) > 8*time.Second { // on a very slow machine
			half.Close()
			continue
		}
		reloads++
		s.MustSend(half, "anx\r\n\r\n")
		if r, err := half.Reply("GET"); err != nil || r.Status != 200 || string(r.Body) != "front" {
			t.Errorf("the request sent in two halves: %v, error %v", r, err)
		}
	}
	for _, c := range idle {
		s.MustPersist(c)
	}
	want := pattern(16 << 20)
	for i, c := range downloads {
		c.Renew()
		if r, err := c.Reply("GET"); err != nil || !slices.Equal(r.Body, want) {
			t.Errorf("download %d: %v", i, err)
		}
	}
	s.Stop(5 * time.Second)
}

// pattern returns content in which adjacent parts differ.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

// TestReloadWithoutHandover reloads models and engines that cannot hand connections over: the old worker
// finishes its request, and new ones go to the new worker.
func TestReloadWithoutHandover(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 1<<30)
	for _, args := range [][]string{{"--model", "goroutine"}, {"--model", "serial"}, {"--engine", "netpoll", "--workers", "1"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, base, args...)
			old := s.Workers()
			c := s.Dial()
			s.MustSend(c, harness.Request("GET", "/huge", "Range: bytes=0-99999999", "Connection: close"))
			if _, err := c.In.Peek(1); err != nil {
				t.Fatal(err)
			}
			s.Signal(syscall.SIGHUP)
			s.AwaitWorkers(2)
			s.MustServe("/", "front")
			if r, err := c.Reply("GET"); err != nil || r.Status != 206 || len(r.Body) != 100_000_000 {
				t.Errorf("the request under way: %v", err)
			}
			s.AwaitWorkers(1, old...)
			s.Stop(5 * time.Second)
		})
	}
}

// TestReloadFails reloads with worker binaries that do not start: the old workers keep serving, and one line
// says why.
func TestReloadFails(t *testing.T) {
	t.Parallel()
	const line = `"message":"worker /.*/worker: .*%s.* is not replaced"`
	surviveBadPrograms(t, "worker", syscall.SIGHUP,
		badProgram{"#!/bin/sh\nexit 3\n", fmt.Sprintf(line, "exit status 3")},
		badProgram{"no program at all", fmt.Sprintf(line, "exec format error")})
}

// TestScale adds and removes workers while one client makes requests all the time and others are idle: no
// client notices.
func TestScale(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.Serve(t, base, "--workers", "1", "--keepalive", "10m")
	quit, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-quit:
				done <- n
				return
			default:
			}
			if r, err := harness.Exchange(s.Port, harness.Request("GET", "/", "Connection: close")); err != nil || string(r.Body) != "front" {
				t.Errorf("request %d: %v", n, err)
			}
		}
	}()
	for n := 2; n <= 4; n++ {
		s.Signal(syscall.SIGTTIN)
		s.AwaitWorkers(n)
	}
	idle := s.OneForEach()
	for n := 1; n <= 3; n++ { // pending signals of one kind are delivered once
		s.Signal(syscall.SIGTTOU)
		s.AwaitMessages(n, "slot closed")
	}
	harness.Await(t, 20*time.Second, "one worker", func() bool { return len(s.Workers()) == 1 })
	for _, c := range idle {
		s.MustPersist(c)
	}
	close(quit)
	if n := <-done; n < 100 {
		t.Errorf("%d requests, want at least 100", n)
	}
	s.Signal(syscall.SIGTTOU)
	s.Log.Await(t, 10*time.Second, "a line that the last worker stays", s.Exited, func([]harness.Event) bool {
		return strings.Contains(s.Log.String(), "at least one worker is needed; stop the server with SIGTERM")
	})
	s.Stop(5 * time.Second)
}

// TestHungWorker stops a worker with SIGSTOP: it is killed and replaced, and the pool serves meanwhile.
func TestHungWorker(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, args := range [][]string{{"--workers", "2"}, {"--workers", "2", "--engine", "netpoll"}, {"--model", "goroutine"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, base, append(args, "--hang-timeout", "6s")...)
			all := s.Workers()
			victim := all[0]
			harness.Suspend(t, victim)
			s.AwaitWorkers(len(all), victim)
			s.MustServe("/", "front")
			s.AwaitText(fmt.Sprintf("(pid %d) died: hung: no heartbeat for 6s, killed", victim))
			kept := s.AwaitWorkers(len(all), victim)
			time.Sleep(7 * time.Second) // idle workers are not hung
			if now := s.Workers(); !slices.Equal(now, kept) {
				t.Errorf("the workers are %v, want %v", now, kept)
			}
			s.Stop(5 * time.Second)
		})
	}
}

// TestRecycle replaces workers that have served --max-requests: no client notices.
func TestRecycle(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.Serve(t, base, "--workers", "2", "--max-requests", "50")
	old := s.Workers()
	owned := s.OneForEach()
	deadline := time.Now().Add(harness.ClientTimeout)
	for left := old; len(left) > 0 && time.Now().Before(deadline); {
		for _, c := range owned {
			for range 60 {
				s.MustPersist(c)
			}
		}
		left = slices.DeleteFunc(slices.Clone(old), func(pid int) bool { return !slices.Contains(s.Workers(), pid) })
	}
	s.AwaitWorkers(2, old...)
	s.Stop(5 * time.Second)
}
