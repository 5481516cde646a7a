package share

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// screen writes lines that stay, and on a terminal beneath them some that change.
type screen struct {
	out   io.Writer
	width func() int // of the terminal in columns; nil: there is none
	drawn []int      // widths in columns of the lines that change
}

// columns is the width of the terminal, 0 if there is none.
func (s *screen) columns() int {
	if s.width == nil {
		return 0
	}
	if n := s.width(); n > 0 {
		return n
	}
	return 80
}

// write writes lines that stay, and then those that change. Errors of the terminal
// are ignored.
func (s *screen) write(stay, change []string) {
	var b strings.Builder
	if s.width != nil {
		s.erase(&b)
	}
	for _, line := range stay {
		b.WriteString(line + "\n")
	}
	s.drawn = nil
	if s.width != nil {
		for _, line := range change {
			b.WriteString(line + "\n")
			s.drawn = append(s.drawn, ansi.StringWidth(line))
		}
	}
	_, _ = io.WriteString(s.out, b.String())
}

// erase moves the cursor to the first line that changes and clears from there. A
// terminal that has become narrower may show one as several.
func (s *screen) erase(b *strings.Builder) {
	b.WriteString("\r")
	rows, columns := 0, s.columns()
	for _, width := range s.drawn {
		rows += max(1, (width+columns-1)/columns)
	}
	if rows > 0 {
		fmt.Fprintf(b, "\x1b[%dA", rows)
	}
	b.WriteString("\x1b[J")
}

// late reports that the terminal has not taken all yet, as one that was stopped by
// Ctrl-S: what changes would be old when it is shown.
func (s *screen) late() bool {
	out, ok := s.out.(interface{ Late() bool })
	return ok && out.Late()
}
