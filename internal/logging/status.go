package logging

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// eraseLine erases from the cursor to the end of the line (ECMA-48, EL).
const eraseLine = "\x1b[K"

// Status is a line at the bottom of a terminal that is written anew again and again.
// The cursor stays at its beginning, so that what comes next takes its place; lines of
// a logger with Options.Erase leave nothing of it.
type Status struct {
	file  *os.File
	to    io.Writer
	shown atomic.Bool
}

// NewStatus returns the status line of a terminal that lines are written to through a
// [Writer]; nil if the file is no terminal, or is one that cannot erase.
func NewStatus(file *os.File, to io.Writer, kind string) *Status {
	if kind == "" || kind == "dumb" || !isTerminal(file) {
		return nil
	}
	return &Status{file: file, to: to}
}

// Show replaces the line, and reports whether there is a terminal that shows it. While
// the terminal is stopped, as by Ctrl-S, nothing is written: it would be old when it is
// shown.
func (s *Status) Show(text string) bool {
	if s == nil {
		return false
	}
	if to, ok := s.to.(interface{ Late() bool }); ok && to.Late() {
		return true
	}
	if r, width := []rune(text), widthOf(s.file); width > 0 && len(r) >= width {
		text = string(r[:width-1]) // the last column might wrap
	}
	s.shown.Store(true)
	_, _ = fmt.Fprintf(s.to, "\r%s%s\r", eraseLine, text) // a terminal that has gone shows nothing
	return true
}

// Clear removes the line.
func (s *Status) Clear() {
	if s != nil && s.shown.Swap(false) {
		_, _ = fmt.Fprint(s.to, "\r"+eraseLine)
	}
}
