package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReload replaces all workers under idle connections, half a request and
// downloads, of which no client notices anything: with the event loop the old
// workers are gone at once.
func TestReload(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	big := filepath.Join(base, "big")
	write(t, big, pattern(64<<20))
	s := serve(t, base, "--workers", "3")
	idle := s.oneForEach()
	half := s.dial()
	if err := half.send("GET / HTTP/1.1\r\nHost: phal"); err != nil {
		t.Fatal(err)
	}
	var downloads []*client
	for range 6 {
		c, err := connectNarrow(s.port, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.send(request("GET", "/big")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.in.Peek(1); err != nil {
			t.Fatal(err)
		}
		downloads = append(downloads, c)
	}
	for range 3 {
		old := s.workers()
		s.signal(syscall.SIGHUP)
		s.awaitWorkers(3, old...)
	}
	for pid, c := range idle {
		if r := s.mustAsk(c, request("GET", "/")); r.status != 200 || r.closes() {
			t.Errorf("a client of worker %d: %d, closes %v", pid, r.status, r.closes())
		}
	}
	if err := half.send("anx\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if r, err := half.reply("GET"); err != nil || r.status != 200 || string(r.body) != "front" {
		t.Errorf("the halved request: %v, %v", r, err)
	}
	want := pattern(64 << 20)
	for i, c := range downloads {
		if r, err := c.reply("GET"); err != nil || !slices.Equal(r.body, want) {
			t.Errorf("download %d: %v", i, err)
		}
	}
	s.stop(5 * time.Second)
}

// pattern is content in which each place differs from its neighbours.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

// TestReloadModels replaces the workers of the models that cannot hand over: a
// request under way is finished by the old worker, new ones go to the new.
func TestReloadModels(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, filepath.Join(base, "huge"), 1<<30)
	for _, args := range [][]string{{"--model", "goroutine"}, {"--model", "serial"}, {"--engine", "netpoll", "--workers", "1"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := serve(t, base, args...)
			old := s.workers()
			c := s.dial()
			if err := c.send(request("GET", "/huge", "Range: bytes=0-99999999", "Connection: close")); err != nil {
				t.Fatal(err)
			}
			if _, err := c.in.Peek(1); err != nil {
				t.Fatal(err)
			}
			s.signal(syscall.SIGHUP)
			s.awaitWorkers(2)
			s.mustServe("/", "front")
			if r, err := c.reply("GET"); err != nil || r.status != 206 || len(r.body) != 100_000_000 {
				t.Errorf("the request under way: %v", err)
			}
			s.awaitWorkers(1, old...)
			s.stop(5 * time.Second)
		})
	}
}

// TestReloadFails gives the pool a worker that cannot live: the old one serves
// on, and one line says why.
func TestReloadFails(t *testing.T) {
	t.Parallel()
	const line = `^phalanx: worker /.*/worker: .*%s.* is not replaced$`
	outlive(t, "worker", syscall.SIGHUP,
		spoilt{"#!/bin/sh\nexit 3\n", fmt.Sprintf(line, "exit status 3")},
		spoilt{"no program at all", fmt.Sprintf(line, "exec format error")})
}

// TestScale adds workers and takes them away under idle connections and
// constant new ones.
func TestScale(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	s := serve(t, base, "--workers", "1")
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
			if r, err := exchange(s.port, request("GET", "/", "Connection: close")); err != nil || string(r.body) != "front" {
				t.Errorf("request %d: %v", n, err)
			}
		}
	}()
	for n := 2; n <= 4; n++ {
		s.signal(syscall.SIGTTIN)
		s.awaitWorkers(n)
	}
	idle := s.oneForEach()
	for n := 1; n <= 3; n++ { // signals of a kind that wait are one
		s.signal(syscall.SIGTTOU)
		s.log.await(t, 5*time.Second, "closed slot", s.exited, func(all []event) bool {
			return len(withMessage(all, "slot closed")) == n
		})
	}
	await(t, 20*time.Second, "one worker", func() bool { return len(s.workers()) == 1 })
	for pid, c := range idle {
		if r := s.mustAsk(c, request("GET", "/")); r.status != 200 || r.closes() {
			t.Errorf("a client of worker %d: %d, closes %v", pid, r.status, r.closes())
		}
	}
	close(quit)
	if n := <-done; n < 100 {
		t.Errorf("%d requests", n)
	}
	s.signal(syscall.SIGTTOU)
	s.log.await(t, 2*time.Second, "a word", s.exited, func([]event) bool {
		return strings.Contains(s.log.String(), "phalanx: the last worker stays; SIGTERM ends the server\n")
	})
	s.stop(5 * time.Second)
}

// TestHungWorker stops a worker: it is replaced, and the pool serves meanwhile.
func TestHungWorker(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	for _, args := range [][]string{{"--workers", "2"}, {"--workers", "2", "--engine", "netpoll"}, {"--model", "goroutine"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := serve(t, base, append(args, "--hang-timeout", "1s")...)
			all := s.workers()
			victim := all[0]
			hold(t, victim)
			s.awaitWorkers(len(all), victim)
			s.mustServe("/", "front")
			want := fmt.Sprintf("(pid %d) died: no sign of life for 1s, killed", victim)
			if text := s.log.String(); !strings.Contains(text, want) {
				t.Errorf("nothing says %q", want)
			}
			kept := s.awaitWorkers(len(all), victim)
			time.Sleep(2500 * time.Millisecond) // idle ones are not hung
			if now := s.workers(); !slices.Equal(now, kept) {
				t.Errorf("the workers are %v, and were %v", now, kept)
			}
			s.stop(5 * time.Second)
		})
	}
}

// TestRecycle replaces workers that have served enough, without a client
// noticing.
func TestRecycle(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	s := serve(t, base, "--workers", "2", "--max-requests", "50")
	old := s.workers()
	owned := s.oneForEach()
	deadline := time.Now().Add(20 * time.Second)
	for left := old; len(left) > 0 && time.Now().Before(deadline); {
		for _, c := range owned {
			for range 60 {
				if r := s.mustAsk(c, request("GET", "/")); r.status != 200 || r.closes() {
					t.Fatalf("%d, closes %v", r.status, r.closes())
				}
			}
		}
		left = slices.DeleteFunc(slices.Clone(old), func(pid int) bool { return !slices.Contains(s.workers(), pid) })
	}
	s.awaitWorkers(2, old...)
	s.stop(5 * time.Second)
}
