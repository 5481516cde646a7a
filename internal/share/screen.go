package share

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// screen writes permanent lines, and on a terminal lines beneath them that change.
type screen struct {
	out   io.Writer
	width func() int // of the terminal in columns; nil: not a terminal
	drawn []int      // widths in columns of the changing lines
}

// columns returns the width of the terminal, 80 if it is unknown, 0 without a terminal.
func (s *screen) columns() int {
	if s.width == nil {
		return 0
	}
	if n := s.width(); n > 0 {
		return n
	}
	return 80
}

// write writes permanent lines, and then the changing ones. Errors are ignored.
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

// erase moves the cursor to the first changing line and clears from there. If the terminal has
// become narrower, a line may occupy several rows.
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

// late reports whether the terminal has not accepted all output yet, for example because it
// was stopped by Ctrl-S: changing lines would be outdated when shown.
func (s *screen) late() bool {
	out, ok := s.out.(interface{ Late() bool })
	return ok && out.Late()
}
