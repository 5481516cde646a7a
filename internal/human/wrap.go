package human

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks a text between words into lines of at most width characters, with the
// indents first and others included. A word longer than a line is broken.
func Wrap(width int, first, others, text string) string {
	var b strings.Builder
	line, column := first, utf8.RuneCountInString(first)
	empty := true
	for word := range strings.FieldsSeq(text) {
		rest := []rune(word)
		if !empty && column+1+len(rest) > width {
			b.WriteString(line + "\n")
			line, column, empty = others, utf8.RuneCountInString(others), true
		}
		if !empty {
			line, column = line+" ", column+1
		}
		for column+len(rest) > width {
			n := width - column
			b.WriteString(line + string(rest[:n]) + "\n")
			rest, line, column = rest[n:], others, utf8.RuneCountInString(others)
		}
		line, column, empty = line+string(rest), column+len(rest), false
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}
