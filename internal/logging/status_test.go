package logging

import (
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// A status line stays one line when it is updated, fits the terminal, and is erased before
// log lines.
func TestStatus(t *testing.T) {
	terminal, read := open(t, 12)
	s := NewStatus(terminal, terminal, "xterm")
	log := New(terminal, Auto, 1, Options{NoColor: true, Erase: true, now: noon})
	if !s.Show("draining: 1") || !s.Show("draining: 22, and more") {
		t.Error("the status line is not shown")
	}
	log.Info().Msg("stopped")
	s.Clear()
	s.Clear()
	terminal.Close()
	want := "\r\x1b[Kdraining: 1\r" + "\r\x1b[Kdraining: 2\r" + "\x1b[K12:00:00      stopped\r\n" + "\r\x1b[K"
	if got := <-read; got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// Nothing is shown unless there is a terminal that can erase a line.
func TestNoStatus(t *testing.T) {
	_, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	pipe, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	var out strings.Builder
	for _, s := range []*Status{NewStatus(pipe, &out, "xterm"), NewStatus(terminal, &out, "dumb"), NewStatus(terminal, &out, "")} {
		if s.Show("text") {
			t.Error("the status line is shown")
		}
		s.Clear()
	}
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
}
