package observe

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"phalanx/e2e/harness"
)

// TestTopFollowsPool runs top while the pool is reloaded, scaled, upgraded, killed and stopped: it shows
// each event and continues with the next server at the same address.
func TestTopFollowsPool(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 1<<30)
	s, e := harness.ServeWithAdmin(t, base, "--workers", "2", "--lame-duck", "1m")
	p := openPane(t, 80, 24)
	before := p.state()
	p.watch(e)
	serves := func(n int, gone ...int) func([]line) bool {
		return func(all []line) bool {
			return len(all) == n && !slices.ContainsFunc(all, func(l line) bool { return l.state != "serving" || slices.Contains(gone, l.pid) })
		}
	}
	p.awaitLines("two workers", serves(2))

	old := s.Workers()
	s.Signal(syscall.SIGHUP)
	p.awaitLines("two new workers", serves(2, old...))
	p.awaitText("1 reload")

	e.Order("scale", "4").Succeeds(t, "4 workers serving")
	p.awaitLines("four workers", serves(4))
	p.awaitText("4 of 4 serving")
	old = s.Workers()
	s.Signal(syscall.SIGUSR2)
	p.awaitLines("the workers of the new program", func(all []line) bool {
		serving := slices.DeleteFunc(all, func(l line) bool { return l.state != "serving" })
		return len(serving) == 4 && serves(4, old...)(serving)
	})
	p.awaitText("pid " + strconv.Itoa(s.PID()))

	victim := awaitSlots(s, e, 4)[1]
	harness.Kill(t, victim, syscall.SIGKILL)
	p.awaitLines("the death of worker 1", func(all []line) bool {
		return slices.ContainsFunc(all, func(l line) bool {
			return l.slot == 1 && l.pid != victim && l.state == "serving" && strings.HasSuffix(l.lives, "/1")
		})
	})

	e.Order("scale", "2").Succeeds(t, "2 workers serving")
	p.awaitText("2 of 2 serving")

	endsWatched(s, p)
	next := harness.Serve(t, base, "--workers", "1", "--admin", e.Addr)
	p.await("the next server", func(screen string) bool {
		return strings.Contains(screen, "pid "+strconv.Itoa(next.PID())) && strings.Contains(screen, "● serving") && !strings.Contains(screen, "server stopped")
	})
	next.Signal(syscall.SIGKILL)
	p.awaitText("no response for")
	p.press("q")
	p.awaitText("top ended with 0")
	if after := p.state(); after != before {
		t.Errorf("terminal state after top:\n%+v\nwant\n%+v", after, before)
	}
	next.Wait(5 * time.Second)
}

// awaitSlots waits until n workers serve, and returns their pids by slot.
func awaitSlots(s *harness.Server, e *harness.Endpoint, n int) []int {
	s.T.Helper()
	var pids []int
	harness.Await(s.T, 20*time.Second, "a serving worker in each slot", func() bool {
		pids = nil
		for _, w := range e.Pool().Workers {
			if w.State == "serving" {
				pids = append(pids, w.PID)
			}
		}
		return len(pids) == n
	})
	return pids
}

// endsWatched stops a server during a download and checks what top shows of it.
func endsWatched(s *harness.Server, p *pane) {
	s.T.Helper()
	slow := s.Begin("/huge", 64<<10)
	s.Signal(syscall.SIGTERM)
	p.awaitText("● lame-duck")
	time.Sleep(50 * time.Millisecond) // a stop within 30 ms of another is the same one
	s.Signal(syscall.SIGTERM)
	p.awaitText("● draining")
	p.awaitLines("a draining worker", func(all []line) bool {
		return slices.ContainsFunc(all, func(l line) bool { return l.state == "draining" })
	})
	slow.Close()
	s.MustExit(8 * time.Second)
	p.awaitText("server stopped; waiting for it to start again")
}

// TestTopPlain runs top without a terminal that it can draw on: it prints the pool's status once and
// exits.
func TestTopPlain(t *testing.T) {
	t.Parallel()
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	o := e.Order("top")
	if o.Code != 0 || o.Err != "" {
		t.Errorf("top: %+v, want success and no errors", o)
	}
	checkLook(s, o.Out)
	checkLook(s, e.Order("status").Out)

	for _, term := range []string{"dumb", ""} {
		screen := harness.OpenTerminal(t)
		if err := pty.Setsize(screen.Slave, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
			t.Fatal(err)
		}
		top := harness.Launch(t, harness.Plan{Tty: screen.Slave, Args: []string{"top", "--admin", e.Addr}, Env: []string{"TERM=" + term}})
		if code := top.Wait(5 * time.Second); code != 0 {
			t.Errorf("TERM=%s: exit status %d, want 0", term, code)
		}
		checkLook(s, strings.ReplaceAll(screen.Shown(), "\r\n", "\n"))
	}
	gone := filepath.Join(t.TempDir(), "no.sock")
	harness.Attempt(t, harness.Plan{Args: []string{"top", "--admin", gone}}).Rejects(t, 1, gone, "no such socket", "start the server with --admin")
	s.Stop(5 * time.Second)
}

// checkLook checks that the text is one plain report of a pool that serves.
func checkLook(s *harness.Server, text string) {
	s.T.Helper()
	if strings.ContainsRune(text, '\x1b') {
		s.T.Errorf("the report has escape sequences: %q", text)
	}
	words := []string{": serving, pid " + strconv.Itoa(s.PID()), harness.Loopback(s.Port), "2 of 2 serving"}
	for _, pid := range s.Workers() {
		words = append(words, strconv.Itoa(pid))
	}
	for _, word := range words {
		if strings.Count(text, word) == 0 {
			s.T.Errorf("the report lacks %q:\n%s", word, text)
		}
	}
	if n := strings.Count(text, "CONN/IDLE"); n != 1 {
		s.T.Errorf("the report has %d tables, want 1:\n%s", n, text)
	}
}

// TestTopColours uses colours by default, and none with NO_COLOR.
func TestTopColours(t *testing.T) {
	t.Parallel()
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "1")
	for _, c := range []struct {
		env      []string
		coloured bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}} {
		p := openPane(t, 80, 24, c.env...)
		p.watch(e)
		p.awaitLines("the worker", func(all []line) bool { return len(all) == 1 })
		text := p.tmux("capture-pane", "-p", "-e")
		if got := colour.MatchString(text); got != c.coloured {
			t.Errorf("with %v: colours %v, want %v\n%q", c.env, got, c.coloured, text)
		}
		p.press("q")
		p.awaitText("top ended with 0")
	}
	s.Stop(5 * time.Second)
}
