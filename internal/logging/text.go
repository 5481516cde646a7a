package logging

import (
	"unicode/utf16"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// AppendJSON appends untrusted text as a JSON string (RFC 8259 §7), to be logged with
// [zerolog.Event.RawJSON]: other methods would escape it a second time. The string is
// printable ASCII, so that nothing a client sends moves a cursor or ends a line. Any other
// character is escaped with \u, and a byte of invalid UTF-8 as U+0080 to U+00FF. A string of
// more than n bytes, without its quotes, is cut between characters and ends with an
// ellipsis; n is at least 3.
func AppendJSON[T string | []byte](dst []byte, b T, n int) []byte {
	dst = append(dst, '"')
	begin, fits := len(dst), len(dst) // fits: longest length that leaves room for an ellipsis
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

// appendRune appends the first character of b, of size bytes, as one \u escape, or two for
// a UTF-16 surrogate pair.
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
