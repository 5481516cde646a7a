package logging

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// eraseLine erases from the cursor to the end of the line (ECMA-48, EL).
const eraseLine = "\x1b[K"

// Status is a line at the bottom of a terminal that is updated in place. The cursor stays
// at its beginning, so the next log line overwrites it; a logger with Options.Erase erases
// it first.
type Status struct {
	file  *os.File
	to    io.Writer
	shown atomic.Bool
}

// NewStatus returns the status line of a terminal whose lines are written to a [Writer]; nil
// if the file is not a terminal, or the terminal, of type kind, cannot erase.
func NewStatus(file *os.File, to io.Writer, kind string) *Status {
	if kind == "" || kind == "dumb" || !isTerminal(file) {
		return nil
	}
	return &Status{file: file, to: to}
}

// Show replaces the line, and reports whether there is a terminal. While the terminal is
// stopped, for example by Ctrl-S, nothing is written: it would be outdated when shown.
func (s *Status) Show(text string) bool {
	if s == nil {
		return false
	}
	if to, ok := s.to.(interface{ Late() bool }); ok && to.Late() {
		return true
	}
	if r, width := []rune(text), Width(s.file); width > 0 && len(r) >= width {
		text = string(r[:width-1]) // the last column might wrap
	}
	s.shown.Store(true)
	_, _ = fmt.Fprintf(s.to, "\r%s%s\r", eraseLine, text) // the terminal may be gone
	return true
}

// Clear removes the line.
func (s *Status) Clear() {
	if s != nil && s.shown.Swap(false) {
		_, _ = fmt.Fprint(s.to, "\r"+eraseLine)
	}
}
