package logging

import (
	"strings"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// Escape renders bytes from outside as printable ASCII: a control character,
// a quote or a byte of 0x80 and above becomes \xHH, a backslash \\.
func Escape(b []byte) string {
	plain := 0
	for plain < len(b) && isPlain(b[plain]) {
		plain++
	}
	if plain == len(b) {
		return string(b)
	}
	var s strings.Builder
	s.Grow(len(b) + 16)
	s.Write(b[:plain])
	for _, c := range b[plain:] {
		switch {
		case isPlain(c):
			s.WriteByte(c)
		case c == '\\':
			s.WriteString(`\\`)
		default:
			s.WriteString(`\x`)
			s.WriteByte(hex[c>>4])
			s.WriteByte(hex[c&15])
		}
	}
	return s.String()
}

func isPlain(c byte) bool {
	return c >= 0x20 && c < 0x7f && c != '\\' && c != '"'
}

const ellipsis = "…"

// Clip returns s in at most n bytes, cut between characters and ended with
// an ellipsis if it was longer. It takes n to be at least 3.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(0, n-len(ellipsis))
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}
