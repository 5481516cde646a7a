package pool

import (
	"bytes"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/creack/pty"

	"phalanx/e2e/harness"
)

const ctrlC = 0x03

// multiGB is a size that does not fit in 32 bits.
const multiGB = 1<<32 + 54321

// TestCtrlC presses Ctrl-C during a huge download and other clients' requests: all are completed, and the
// terminal shows the progress of the drain.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front", "last.html": "last"})
	harness.Sparse(t, base+"/huge.bin", multiGB)
	for _, model := range harness.Models() {
		t.Run(model, func(t *testing.T) {
			term := harness.OpenTerminal(t)
			s := harness.ServeSilently(t, harness.Plan{
				Tty: term.Slave, Env: []string{"TERM=xterm"}, Args: []string{"--base", base, "--model", model},
			})

			others := func() {}
			if model != "serial" {
				others = otherClients(s)
			}
			slow := s.Begin("/huge.bin", 0)
			slowed, enough := make(chan error, 1), make(chan struct{})
			go func() { slowed <- slow.TrickleUntil(16<<10, enough) }()

			term.Press(ctrlC)
			s.AwaitRefusal()
			others()
			term.Await(waited)
			close(enough)
			if err := <-slowed; err != nil {
				t.Errorf("during the drain: %v", err)
			}
			if s.Gone() {
				t.Error("the master exited before the download ended")
			}
			if err := slow.SetDeadline(time.Now().Add(harness.InTime(harness.ClientTimeout))); err != nil {
				t.Fatal(err)
			}
			s.MustComplete(slow)
			s.MustEnd(slow.Client, 2*time.Second, "the completed download")
			s.MustExit(3 * time.Second)
			if rest := waiting.ReplaceAllString(term.Shown(), ""); rest != "" {
				t.Errorf("the terminal also shows %q", rest)
			}
		})
	}
}

// What a terminal shows of a drain of more than a second.
var (
	waited = regexp.MustCompile(`draining: \d+ connections?, 4\.\d+ GB left to send`)
	// One line that is updated in place and erased at the end.
	waiting = regexp.MustCompile(`\r\x1b\[K(draining: \d+ connections?[^\r\n]*\r)?`)
)

// TestCtrlCIdle presses Ctrl-C when all connections are idle: the server exits without output.
func TestCtrlCIdle(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		term := harness.OpenTerminal(t)
		s := harness.ServeSilently(t, harness.Plan{Tty: term.Slave, Args: []string{"--base", base, "--model", model}})
		idle := s.Dial()
		s.MustAsk(idle, harness.Request("GET", "/"))
		began := time.Now()
		term.Press(ctrlC)
		s.MustExit(5 * time.Second)
		took, shown := time.Since(began), term.Shown()
		if took > time.Second { // on a busy machine; the drain may have taken so long
			shown = waiting.ReplaceAllString(shown, "")
		}
		if shown != "" {
			t.Errorf("the terminal shows %q, want nothing", shown)
		}
	})
}

// otherClients opens an idle connection and one with half a request, and returns a function that checks them
// once the drain has begun.
func otherClients(s *harness.Server) (check func()) {
	s.T.Helper()
	idle := s.Dial()
	s.MustAsk(idle, harness.Request("GET", "/"))
	half := s.Dial()
	s.MustAsk(half, harness.Request("GET", "/"))
	last := harness.Request("GET", "/last.html")
	s.MustSend(half, last[:20])
	return func() {
		s.T.Helper()
		r := s.MustAsk(half, last[20:])
		if r.Status != 200 || string(r.Body) != "last" || !r.Closes() {
			s.T.Errorf("response to a request begun before Ctrl-C: %d %q %v", r.Status, r.Body, r.Header)
		}
		s.MustEnd(half, 2*time.Second, "after the last response")
		half.Close()
		s.MustEnd(idle, 3*time.Second, "the idle connection")
	}
}

// TestCtrlCTwice presses Ctrl-C twice: the server stops immediately, with status 130.
func TestCtrlCTwice(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/huge.bin", multiGB)
	for _, model := range harness.Models() {
		t.Run(model, func(t *testing.T) {
			term := harness.OpenTerminal(t)
			s := harness.ServeSilently(t, harness.Plan{Tty: term.Slave, Args: []string{"--base", base, "--model", model}})
			slow := s.Begin("/huge.bin", 0)
			term.Press(ctrlC)
			s.AwaitRefusal()
			if err := slow.Take(1 << 20); err != nil {
				t.Errorf("the download ended at the first Ctrl-C: %v", err)
			}
			time.Sleep(50 * time.Millisecond) // a Ctrl-C within 30 ms of another is the same one
			term.Press(ctrlC)
			if code := s.Wait(9 * time.Second); code != 130 { // a drain would wait for the download
				t.Errorf("exit status %d, want 130", code)
			}
			if err := slow.Rest(); err == nil {
				t.Error("the download was completed, want it truncated")
			}
		})
	}
}

// TestTerminalHangUp closes the terminal: the server stops.
func TestTerminalHangUp(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	master, slave, err := pty.Open() // without a reader, which would make closing it block
	if err != nil {
		t.Fatal(err)
	}
	s := harness.ServeSilently(t, harness.Plan{Tty: slave, Args: []string{"--base", base}})
	s.MustServe("/", "front")
	slave.Close()
	master.Close()
	s.MustExit(5 * time.Second)
}

// TestTerminalLog logs to a terminal: one human-readable line for the request, and no JSON.
func TestTerminalLog(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	term := harness.OpenTerminal(t)
	port := harness.FreePort(t)
	s := harness.Launch(t, harness.Plan{Tty: term.Slave, Args: []string{"--base", base, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "-v"}})
	s.Port = port
	s.AwaitAnswer()
	s.MustServe("/?unmistakable", "front")
	// Ctrl-C throws away what a terminal has not shown yet (NOFLSH in termios(3)).
	term.Await(regexp.MustCompile("unmistakable"))
	term.Press(ctrlC)
	s.MustExit(5 * time.Second)
	shown := []byte(term.Shown())
	if n := bytes.Count(shown, []byte("unmistakable")); n != 1 {
		t.Errorf("the request is shown %d times, want once:\n%s", n, shown)
	}
	if bytes.Contains(shown, []byte(`{"`)) {
		t.Errorf("the terminal shows JSON:\n%s", shown)
	}
}
