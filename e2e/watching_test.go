package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestTopWatches has top look on while everything happens to a pool: it shows
// what happens, in words when it is over, and goes on with the next server.
func TestTopWatches(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, filepath.Join(base, "huge"), 1<<30)
	s, e := seen(t, base, "--workers", "2", "--lame-duck", "1m")
	p := openPane(t, 80, 24)
	before := p.state()
	p.watch(e)
	serves := func(n int, gone ...int) func([]line) bool {
		return func(all []line) bool {
			return len(all) == n && !slices.ContainsFunc(all, func(l line) bool { return l.state != "serving" || slices.Contains(gone, l.pid) })
		}
	}
	p.awaitLines("two workers", serves(2))

	old := s.workers()
	s.signal(syscall.SIGHUP)
	p.awaitLines("two new workers", serves(2, old...))
	p.awaitText("1 reload")

	e.order("scale", "4").does(t, "4 workers serving")
	p.awaitLines("four workers", serves(4))
	p.awaitText("4 of 4 serving")
	old = s.workers()
	s.signal(syscall.SIGUSR2)
	p.awaitLines("the workers of the new program", func(all []line) bool {
		serving := slices.DeleteFunc(all, func(l line) bool { return l.state != "serving" })
		return len(serving) == 4 && serves(4, old...)(serving)
	})
	p.awaitText("pid " + itoa(s.pid()))

	victim := s.awaitSlots(e, 4)[1]
	kill(t, victim, syscall.SIGKILL)
	p.awaitLines("a death of worker 1", func(all []line) bool {
		return slices.ContainsFunc(all, func(l line) bool {
			return l.slot == 1 && l.pid != victim && l.state == "serving" && strings.HasSuffix(l.lives, "/1")
		})
	})

	e.order("scale", "2").does(t, "2 workers serving")
	p.awaitText("2 of 2 serving")

	s.endsWatched(p)
	next := serve(t, base, "--workers", "1", "--admin", e.addr)
	p.await("the next server", func(screen string) bool {
		return strings.Contains(screen, "pid "+itoa(next.pid())) && strings.Contains(screen, "● serving") && !strings.Contains(screen, "has ended")
	})
	next.signal(syscall.SIGKILL)
	p.awaitText("not answering since")
	p.press("q")
	p.awaitText("top ended with 0")
	if after := p.state(); after != before {
		t.Errorf("the terminal was left with\n%+v, and was\n%+v", after, before)
	}
	next.wait(5 * time.Second)
}

// awaitSlots waits until a pool has so many processes, and returns their pids by
// slot.
func (s *server) awaitSlots(e *endpoint, n int) []int {
	s.t.Helper()
	var pids []int
	await(s.t, 20*time.Second, "as many processes as slots", func() bool {
		pids = nil
		for _, w := range e.pool().Workers {
			if w.State == "serving" {
				pids = append(pids, w.PID)
			}
		}
		return len(pids) == n
	})
	return pids
}

// endsWatched stops a server while a download is under way, and looks at what
// the pane shows of it.
func (s *server) endsWatched(p *pane) {
	s.t.Helper()
	slow := s.begin("/huge", 64<<10)
	s.signal(syscall.SIGTERM)
	p.awaitText("● lame-duck")
	s.signal(syscall.SIGTERM)
	p.awaitText("● draining")
	p.awaitLines("a worker that drains", func(all []line) bool {
		return slices.ContainsFunc(all, func(l line) bool { return l.state == "draining" })
	})
	slow.Close()
	if code := s.wait(8 * time.Second); code != 0 {
		s.t.Errorf("exit status %d, want 0", code)
	}
	p.awaitText("the server has ended; looking whether it starts again")
}

// TestTopPlain runs top where there is no terminal to draw on: it prints one look
// and ends.
func TestTopPlain(t *testing.T) {
	t.Parallel()
	s, e := seen(t, tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	o := e.order("top")
	if o.code != 0 || o.err != "" {
		t.Errorf("%+v", o)
	}
	s.checkLook(o.out)
	s.checkLook(e.order("status").out)

	for _, term := range []string{"dumb", ""} {
		screen := openTerminal(t)
		if err := pty.Setsize(screen.slave, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
			t.Fatal(err)
		}
		top := launch(t, plan{tty: screen.slave, args: []string{"top", "--admin", e.addr}, env: []string{"TERM=" + term}})
		if code := top.wait(5 * time.Second); code != 0 {
			t.Errorf("TERM=%s: exit status %d", term, code)
		}
		s.checkLook(strings.ReplaceAll(screen.shown(), "\r\n", "\n"))
	}
	gone := filepath.Join(t.TempDir(), "no.sock")
	attempt(t, plan{args: []string{"top", "--admin", gone}}).rejects(t, 1, gone, "no such socket", "start master with --admin")
	s.stop(5 * time.Second)
}

// checkLook expects one plain look at a pool that serves.
func (s *server) checkLook(text string) {
	s.t.Helper()
	if strings.ContainsRune(text, '\x1b') {
		s.t.Errorf("it has escape sequences: %q", text)
	}
	words := []string{": serving, pid " + itoa(s.pid()), loopback(s.port), "2 of 2 serving"}
	for _, pid := range s.workers() {
		words = append(words, itoa(pid))
	}
	for _, word := range words {
		if strings.Count(text, word) == 0 {
			s.t.Errorf("it has no %q:\n%s", word, text)
		}
	}
	if n := strings.Count(text, "CONN/IDLE"); n != 1 {
		s.t.Errorf("it shows %d tables, want one:\n%s", n, text)
	}
}

// TestTopColours looks for colours where they are wanted, and where they are not.
func TestTopColours(t *testing.T) {
	t.Parallel()
	s, e := seen(t, tree(t, map[string]string{"index.html": "front"}), "--workers", "1")
	for _, c := range []struct {
		env      []string
		coloured bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}} {
		p := openPane(t, 80, 24, c.env...)
		p.watch(e)
		p.awaitLines("the worker", func(all []line) bool { return len(all) == 1 })
		text := p.tmux("capture-pane", "-p", "-e")
		if got := colour.MatchString(text); got != c.coloured {
			t.Errorf("with %v it has colours: %v, want %v\n%q", c.env, got, c.coloured, text)
		}
		p.press("q")
		p.awaitText("top ended with 0")
	}
	s.stop(5 * time.Second)
}
