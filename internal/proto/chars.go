package proto

import "bytes"

// Character classes of RFC 9110 §5.6.2 and RFC 3986 §3, one bit each.
const (
	charToken  = 1 << iota // tchar: methods and field names
	charValue              // field values: HTAB, SP, VCHAR, obs-text
	charTarget             // request targets
	charHost               // unreserved and sub-delims: a reg-name without "%"
	charHex                // HEXDIG
)

// classes maps every byte to its character classes. It is never changed: Go has no constant
// arrays.
var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	set := func(s string, class uint8) {
		for i := range len(s) {
			t[s[i]] |= class
		}
	}
	const alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	set(alnum+"!#$%&'*+-.^_`|~", charToken)
	set(alnum+"-._~"+"!$&'()*+,;=", charHost)
	set("0123456789ABCDEFabcdef", charHex)
	t['\t'] |= charValue
	for c := 0x20; c < 0x100; c++ {
		if c == 0x7f {
			continue
		}
		t[c] |= charValue
		// Bytes beyond ASCII are not URI characters, but curl and older browsers send raw
		// UTF-8 in a target. They cannot be mistaken for anything else, so they are accepted.
		if c > 0x20 {
			t[c] |= charTarget
		}
	}
	return t
}

func is(c byte, class uint8) bool { return classes[c]&class != 0 }

// all reports whether every byte of p is in the class. It is true for an empty p.
func all(p []byte, class uint8) bool {
	for _, c := range p {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// EqualFold reports whether p equals lower, an ASCII word in lower case, under case folding.
func EqualFold(p []byte, lower string) bool {
	if len(p) != len(lower) {
		return false
	}
	for i, c := range p {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// IsTokenByte reports whether a method or a field name may contain the byte.
func IsTokenByte(c byte) bool { return is(c, charToken) }

// IsToken reports whether s is a valid method or field name.
func IsToken(s string) bool { return s != "" && all([]byte(s), charToken) }

// IsUnreserved reports whether a byte is an unreserved character of a URI (RFC 3986 §2.3).
func IsUnreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// Trim cuts optional white space (OWS, RFC 9110 §5.6.3) from both ends.
func Trim(p []byte) []byte {
	from, to := trimmed(p, 0, len(p))
	return p[from:to]
}

// trimmed is Trim for the part of p between two offsets.
func trimmed(p []byte, from, to int) (int, int) {
	for from < to && (p[from] == ' ' || p[from] == '\t') {
		from++
	}
	for from < to && (p[to-1] == ' ' || p[to-1] == '\t') {
		to--
	}
	return from, to
}

// cut splits a comma-separated list (RFC 9110 §5.6.1) into its first element, trimmed, and the
// rest.
func cut(list []byte) (element, rest []byte) {
	element, rest, _ = bytes.Cut(list, []byte(","))
	return Trim(element), rest
}
