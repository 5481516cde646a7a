package harness

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Terminal is a pseudo-terminal without echo, so that it shows only the output
// of programs.
type Terminal struct {
	t             *testing.T
	master, Slave *os.File

	mu     sync.Mutex
	screen bytes.Buffer
	hangup chan struct{} // closed when no process has the terminal open
}

// OpenTerminal opens a terminal, which is closed at the end of the test.
func OpenTerminal(t *testing.T) *Terminal {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	mode, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		mode.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	term := &Terminal{t: t, master: master, Slave: slave, hangup: make(chan struct{})}
	go term.read()
	return term
}

// read ends with EIO when the last program has closed the terminal.
func (term *Terminal) read() {
	defer close(term.hangup)
	buf := make([]byte, 4096)
	for {
		n, err := term.master.Read(buf)
		term.mu.Lock()
		term.screen.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Press types a key.
func (term *Terminal) Press(key byte) {
	term.t.Helper()
	if _, err := term.master.Write([]byte{key}); err != nil {
		term.t.Fatal(err)
	}
}

// Await waits until the output matches something.
func (term *Terminal) Await(something *regexp.Regexp) {
	term.t.Helper()
	Await(term.t, 10*time.Second, fmt.Sprintf("%s on the terminal", something), func() bool {
		term.mu.Lock()
		defer term.mu.Unlock()
		return something.Match(term.screen.Bytes())
	})
}

// Shown returns all output; the master must have exited.
func (term *Terminal) Shown() string {
	term.t.Helper()
	term.Slave.Close()
	select {
	case <-term.hangup:
	case <-time.After(InTime(2 * time.Second)):
		term.t.Error("a process still has the terminal open")
	}
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}
