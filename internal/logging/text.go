package logging

import (
	"unicode/utf16"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// AppendJSON appends bytes from outside as a JSON string (RFC 8259 §7), which
// [zerolog.Event.RawJSON] takes as it is: what has been escaped by hand the
// logger would escape once more. It is ASCII that can be printed, so that
// nothing a client sends moves a cursor or ends a line: any other
// character is escaped with \u, and so is a byte of invalid UTF-8, as U+0080 to U+00FF. A string of
// more than n bytes, its quotes not counted, is cut between characters and ended
// with an ellipsis; n is at least 3.
func AppendJSON[T string | []byte](dst []byte, b T, n int) []byte {
	dst = append(dst, '"')
	begin, fits := len(dst), len(dst) // fits: an ellipsis would have room behind it
	for len(b) > 0 {
		size := 1
		switch c := b[0]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20 && c < 0x7f:
			dst = append(dst, c)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		default:
			dst, size = appendRune(dst, b)
		}
		if len(dst)-begin > n {
			dst = append(dst[:fits], ellipsis...)
			break
		}
		if len(dst)-begin <= n-len(ellipsis) {
			fits = len(dst)
		}
		b = b[size:]
	}
	return append(dst, '"')
}

// appendRune appends the first character of b, which has size bytes, by its
// number, or by the two of UTF-16 that stand for it.
func appendRune[T string | []byte](dst []byte, b T) (_ []byte, size int) {
	var begin [utf8.UTFMax]byte
	r, size := utf8.DecodeRune(begin[:copy(begin[:], b)])
	if r == utf8.RuneError && size == 1 {
		r = rune(b[0])
	}
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return appendUnit(appendUnit(dst, high), low), size
	}
	return appendUnit(dst, r), size
}

func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
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
