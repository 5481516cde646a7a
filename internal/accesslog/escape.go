package accesslog

import (
	"math"

	"phalanx/internal/logging"
)

const hex = "0123456789abcdef"

// isPlain reports whether a byte needs no escape in a quoted string: visible ASCII
// and the space, except the quote and the backslash.
func isPlain(c byte) bool { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' }

// plain returns the length of the plain prefix.
func plain[T string | []byte](s T) int {
	for i := range len(s) {
		if !isPlain(s[i]) {
			return i
		}
	}
	return len(s)
}

// appendEscaped escapes as Apache does since 2.0.46 (mod_log_config, "Security
// considerations"): \" and \\, the C escapes for white space, and \xhh for every
// other byte that is not visible ASCII. So no client can forge a line or a field, or
// send a control sequence to a terminal.
func appendEscaped(dst, s []byte) []byte {
	for len(s) > 0 {
		n := plain(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			break
		}
		dst = appendEscape(dst, s[n])
		s = s[n+1:]
	}
	return dst
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '\v':
		return append(dst, `\v`...)
	}
	return append(dst, '\\', 'x', hex[c>>4], hex[c&15])
}

func appendOrDash(dst, s []byte) []byte {
	if len(s) == 0 {
		return append(dst, '-')
	}
	return appendEscaped(dst, s)
}

// appendWord appends an address or a user. It is not quoted, so spaces are escaped too: an
// IPv6 zone, a name chosen by an administrator, may have one.
func appendWord[T string | []byte](dst []byte, word T) []byte {
	if len(word) == 0 {
		return append(dst, '-')
	}
	for i := range len(word) {
		if c := word[i]; c != ' ' && isPlain(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// appendMember appends another member to a JSON object: a string, escaped as in the verbose
// log, or null if it is empty.
func appendMember[T string | []byte](dst []byte, name string, s T) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	if len(s) == 0 {
		return append(dst, "null"...)
	}
	return logging.AppendJSON(dst, s, math.MaxInt)
}
