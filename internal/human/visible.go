package human

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible escapes what must not reach a terminal or a log line: control characters,
// format characters, which include the directions of text, unusual spaces, and bytes that
// are not UTF-8.
func Visible(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, isHidden) < 0 {
		return s
	}
	var b strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 || isHidden(r) {
			b.WriteString(Escaped(s[:n]))
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func isHidden(r rune) bool { return !unicode.IsPrint(r) }

// Escaped returns the escape of one character, or of a byte that is not UTF-8: "\x1b",
// "\u202e", "\U000e0001".
func Escaped(char string) string {
	switch r, _ := utf8.DecodeRuneInString(char); {
	case len(char) == 1:
		return fmt.Sprintf(`\x%02x`, char[0])
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	default:
		return fmt.Sprintf(`\u%04x`, r)
	}
}

// Quoted returns untrusted text as a word for a sentence: in quotes if it is empty, has a
// space, ends with a colon, or has characters to escape.
func Quoted(s string) string {
	q := strconv.Quote(s)
	if s != "" && q[1:len(q)-1] == s && !strings.Contains(s, " ") && !strings.HasSuffix(s, ":") {
		return s
	}
	return q
}

// Host returns the host of an address HOST:PORT, without brackets.
func Host(client string) string {
	if i := strings.LastIndexByte(client, ':'); i > 0 {
		return strings.Trim(client[:i], "[]")
	}
	return client
}

// Clip shortens a text to at most chars characters, followed by the number of bytes left
// out.
func Clip(s string, chars int) string {
	n := 0
	for i := range s {
		if n == chars {
			return fmt.Sprintf("%s… (%s)", s[:i], Plural(len(s)-i, "byte more", "bytes more"))
		}
		n++
	}
	return s
}
