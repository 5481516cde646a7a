package logging

import (
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// A status line is one line however often it is shown, fits the terminal, and goes away
// for the lines of the log.
func TestStatus(t *testing.T) {
	terminal, read := open(t, 12)
	s := NewStatus(terminal, terminal, "xterm")
	log := New(terminal, Auto, 1, Options{NoColor: true, Erase: true, now: noon})
	if !s.Show("draining: 1") || !s.Show("draining: 22, and more") {
		t.Error("not shown")
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

// Where there is no terminal that can erase, nothing is shown.
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
			t.Error("shown")
		}
		s.Clear()
	}
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
}
