package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"phalanx/internal/observe/status"
)

// screen records the output to a terminal.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until a text has been written to the terminal.
func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	for late := time.After(time.Minute); !strings.Contains(s.String(), text); {
		select {
		case <-s.more:
		case <-late:
			t.Fatalf("no %q in %q", text, s.String())
		}
	}
}

// terminal has both ends of a terminal. Its output goes to the screen.
func terminal(t *testing.T) (keyboard, tty *os.File, s *screen) {
	t.Helper()
	keyboard, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(keyboard, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	s = &screen{more: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := keyboard.Read(buf)
			s.Write(buf[:n])
			if err != nil {
				return // EIO when the other end is closed
			}
		}
	}()
	t.Cleanup(func() { tty.Close(); <-done; keyboard.Close() })
	return keyboard, tty, s
}

// The view restores the terminal in whatever way it ends.
func TestRunLeavesTheTerminalAsItWas(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(keyboard *os.File, cancel context.CancelFunc)
	}{
		{"q", func(k *os.File, _ context.CancelFunc) { k.WriteString("q") }},
		{"ctrl-c", func(k *os.File, _ context.CancelFunc) { k.WriteString("\x03") }},
		{"context", func(_ *os.File, cancel context.CancelFunc) { cancel() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			testLeavesTheTerminal(t, func(keyboard, tty *os.File, s *screen) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan error, 1)
				go func() {
					src := &source{pool: func() (status.Pool, error) { return aPool(4), nil }}
					result <- Run(ctx, src, tty, tty, Options{Environ: []string{"TERM=xterm-256color"}, Refresh: 10 * time.Millisecond})
				}()
				s.await(t, "connections")
				s.await(t, "\x1b[?1049h")
				c.end(keyboard, cancel)
				if err := <-result; err != nil {
					t.Errorf("the view ended with error %v", err)
				}
			})
		})
	}
}

// panicsAt is a variable of the process that TestRunAfterAPanic starts. If there is a file of this name, it panics.
const panicsAt = "TOP_PANICS_AT"

// A panic is an error, and the terminal is restored. After it Bubble Tea does not wait for its reader, which the race
// detector would report, so the view runs in a process of its own.
func TestRunAfterAPanic(t *testing.T) {
	if at := os.Getenv(panicsAt); at != "" {
		src := &source{pool: func() (status.Pool, error) {
			if _, err := os.Stat(at); err == nil {
				panic("a mistake in the view")
			}
			return aPool(4), nil
		}}
		err := Run(t.Context(), src, os.Stdin, os.Stdout, Options{Environ: []string{"TERM=xterm-256color"}, Refresh: 10 * time.Millisecond})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(77)
	}
	testLeavesTheTerminal(t, func(_, tty *os.File, s *screen) {
		at := t.TempDir() + "/now"
		c := exec.Command(os.Args[0], "-test.run=^TestRunAfterAPanic$")
		var stderr bytes.Buffer
		c.Stdin, c.Stdout, c.Stderr = tty, tty, &stderr
		c.Env = append(os.Environ(), panicsAt+"="+at, "GORACE=log_path=/dev/null exitcode=0")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		s.await(t, "connections")
		s.await(t, "\x1b[?1049h")
		if err := os.WriteFile(at, nil, 0o600); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); c.ProcessState.ExitCode() != 77 || !strings.Contains(stderr.String(), "experienced a panic") {
			t.Errorf("the view ended with %v and %q", err, stderr.String())
		}
	})
}

// testLeavesTheTerminal checks that a terminal is as before when a view has run on it.
func testLeavesTheTerminal(t *testing.T, run func(keyboard, tty *os.File, s *screen)) {
	t.Helper()
	keyboard, tty, s := terminal(t)
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	run(keyboard, tty, s)
	after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal's mode was %+v before and is %+v after, error %v", before, after, err)
	}
	s.await(t, "\x1b[?1049l")
	s.await(t, "\x1b[?25h")
	text := s.String()
	if strings.LastIndex(text, "\x1b[?1049l") < strings.LastIndex(text, "\x1b[?1049h") ||
		strings.LastIndex(text, "\x1b[?25h") < strings.LastIndex(text, "\x1b[?25l") {
		t.Errorf("the end of the output is %q", text[max(0, len(text)-200):])
	}
}

func TestRunWithoutAServer(t *testing.T) {
	_, tty, s := terminal(t)
	want := errors.New("nobody answers")
	src := &source{pool: func() (status.Pool, error) { return status.Pool{}, want }}
	if err := Run(t.Context(), src, tty, tty, Options{}); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	if s.String() != "" {
		t.Errorf("the output is %q", s.String())
	}
}

func TestNoColour(t *testing.T) {
	for _, c := range []struct {
		environ  []string
		coloured bool
	}{
		{[]string{"TERM=xterm-256color"}, true},
		{[]string{"TERM=xterm-256color", "NO_COLOR=1"}, false},
	} {
		keyboard, tty, s := terminal(t)
		src := &source{pool: func() (status.Pool, error) { return aPool(4), nil }}
		result := make(chan error, 1)
		go func() { result <- Run(t.Context(), src, tty, tty, Options{Environ: c.environ, Refresh: time.Second}) }()
		s.await(t, "backoff")
		keyboard.WriteString("q")
		if err := <-result; err != nil {
			t.Error(err)
		}
		s.await(t, "\x1b[?1049l")
		if got := strings.Contains(s.String(), "38;5"); got != c.coloured {
			t.Errorf("colours with %q: %v", c.environ, got)
		}
	}
}
