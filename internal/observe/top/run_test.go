package top

import (
	"bytes"
	"context"
	"errors"
	"os"
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
		name   string
		end    func(keyboard *os.File, cancel context.CancelFunc, broken chan<- struct{})
		failed bool
	}{
		{"q", func(k *os.File, _ context.CancelFunc, _ chan<- struct{}) { k.WriteString("q") }, false},
		{"ctrl-c", func(k *os.File, _ context.CancelFunc, _ chan<- struct{}) { k.WriteString("\x03") }, false},
		{"context", func(_ *os.File, cancel context.CancelFunc, _ chan<- struct{}) { cancel() }, false},
		{"panic", func(_ *os.File, _ context.CancelFunc, broken chan<- struct{}) { close(broken) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			keyboard, tty, s := terminal(t)
			before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			broken := make(chan struct{})
			src := &source{pool: func() (status.Pool, error) {
				select {
				case <-broken:
					panic("a mistake in the view")
				default:
					return aPool(4), nil
				}
			}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result := make(chan error, 1)
			go func() {
				result <- Run(ctx, src, tty, tty, Options{Environ: []string{"TERM=xterm-256color"}, Refresh: 10 * time.Millisecond})
			}()
			s.await(t, "connections")
			s.await(t, "\x1b[?1049h")
			c.end(keyboard, cancel, broken)
			if err := <-result; (err != nil) != c.failed {
				t.Errorf("the view ended with error %v", err)
			}
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
		})
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
