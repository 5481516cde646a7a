package site

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// compareNames compares names in natural order: case is ignored, and numbers are compared by
// value, so that page10 comes after Page9. Names that are equal in this order are compared by
// their bytes.
func compareNames(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		by := 0
		if m, n := digits(x), digits(y); m > 0 && n > 0 {
			by = compareNumbers(x[:m], y[:n])
			x, y = x[m:], y[n:]
		} else {
			var c, d rune
			c, x = fold(x)
			d, y = fold(y)
			by = cmp.Compare(c, d)
		}
		if by != 0 {
			return by
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

// digits returns the number of digits at the beginning of a name. It is called for each character:
// strings.TrimLeft would build a set of digits every time.
func digits(s string) (n int) {
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// compareNumbers compares two decimal numbers of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// fold returns the first character of a name in lower case, and the rest.
func fold(s string) (rune, string) {
	if c := s[0]; c < utf8.RuneSelf {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return rune(c), s[1:]
	}
	r, size := utf8.DecodeRuneInString(s)
	return unicode.ToLower(r), s[size:]
}
