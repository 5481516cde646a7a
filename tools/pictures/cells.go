package main

import (
	"fmt"
	"strconv"
	"strings"
)

// cell is a character cell of a terminal.
type cell struct {
	r rune
	style
}

// style is the appearance of text. Colours are CSS colours; "" is the terminal's default.
type style struct {
	fg, bg               string
	bold, faint, reverse bool
}

// basic holds the sixteen ANSI colours, which each terminal defines for itself.
var basic = []string{
	"#2b3038", "#e06c75", "#8fbf6a", "#d9b25f", "#6aa9e9", "#c58fe0", "#56b6c2", "#c9d1d9",
	"#6b7480", "#f08a92", "#a9d68a", "#f0cf85", "#8cc2f5", "#d9aef0", "#7fd3dd", "#f0f3f6",
}

// cells parses a screen captured by tmux: text and SGR sequences (ECMA-48, 8.3.117).
func cells(text string) [][]cell {
	var all [][]cell
	var now style
	for line := range strings.Lines(text) {
		var row []cell
		line = strings.TrimSuffix(line, "\n")
		for line != "" {
			if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
				if end := strings.IndexByte(rest, 'm'); end >= 0 {
					now.apply(rest[:end])
					line = rest[end+1:]
					continue
				}
			}
			for _, r := range line {
				row = append(row, cell{r, now})
				line = line[len(string(r)):]
				break
			}
		}
		all = append(all, row)
	}
	return all
}

// apply applies the parameters of an SGR sequence.
func (s *style) apply(parameters string) {
	p := strings.FieldsFunc(parameters, func(r rune) bool { return r == ';' || r == ':' })
	if len(p) == 0 {
		*s = style{}
	}
	for len(p) > 0 {
		n, err := strconv.Atoi(p[0])
		p = p[1:]
		if err != nil {
			continue
		}
		switch {
		case n == 0:
			*s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 7:
			s.reverse = true
		case n == 22:
			s.bold, s.faint = false, false
		case n == 27:
			s.reverse = false
		case n >= 30 && n <= 37:
			s.fg = basic[n-30]
		case n == 38:
			s.fg, p = extended(p)
		case n == 39:
			s.fg = ""
		case n >= 40 && n <= 47:
			s.bg = basic[n-40]
		case n == 48:
			s.bg, p = extended(p)
		case n == 49:
			s.bg = ""
		case n >= 90 && n <= 97:
			s.fg = basic[n-90+8]
		case n >= 100 && n <= 107:
			s.bg = basic[n-100+8]
		}
	}
}

// extended returns a colour that is given as an index or as red, green and blue, and
// the parameters after it.
func extended(p []string) (colour string, rest []string) {
	number := func(i int) int {
		n, err := strconv.Atoi(p[i])
		if err != nil {
			return 0
		}
		return n
	}
	switch {
	case len(p) >= 2 && p[0] == "5":
		return indexed(number(1)), p[2:]
	case len(p) >= 4 && p[0] == "2":
		return fmt.Sprintf("#%02x%02x%02x", number(1), number(2), number(3)), p[4:]
	}
	return "", nil
}

// indexed returns one of 256 colours: the basic ones, a cube of 6×6×6, and greys.
func indexed(n int) string {
	switch {
	case n < 16:
		return basic[max(n, 0)]
	case n < 232:
		level := func(i int) int {
			if i == 0 {
				return 0
			}
			return 55 + 40*i
		}
		n -= 16
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	grey := 8 + 10*(n-232)
	return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
}
