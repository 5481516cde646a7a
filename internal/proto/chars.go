package proto

// Character classes of RFC 9110 §5.6.2 and RFC 3986 §3, one bit each.
const (
	charToken  = 1 << iota // tchar: what a method or a field name is made of
	charValue              // what a field value may hold: HTAB, SP, VCHAR, obs-text
	charTarget             // what a request-target may hold
	charHost               // unreserved and sub-delims: a reg-name without "%"
	charHex                // HEXDIG
)

// classes maps every byte to its character classes. It is a constant in all
// but name: Go has no constant arrays.
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
		// Bytes beyond ASCII are no URI characters, yet curl and older
		// browsers send raw UTF-8 in a target. They cannot be taken for
		// anything else, so they are let through to the path.
		if c > 0x20 {
			t[c] |= charTarget
		}
	}
	return t
}

func is(c byte, class uint8) bool { return classes[c]&class != 0 }

// all reports whether every byte of p is of the class. It is true for an
// empty p.
func all(p []byte, class uint8) bool {
	for _, c := range p {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// EqualFold reports whether p is the ASCII word, which is given in lower
// case, without regard to case.
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

// IsToken reports whether a text is a valid method or field name.
func IsToken(s string) bool { return s != "" && all([]byte(s), charToken) }

// IsUnreserved reports whether a byte is an unreserved character of a URI (RFC 3986 §2.3).
func IsUnreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// Trim cuts optional white space (OWS, RFC 9110 §5.6.3) from both ends.
func Trim(p []byte) []byte { return trim(p) }

// trim cuts optional white space (OWS, RFC 9110 §5.6.3) from both ends.
func trim(p []byte) []byte {
	from, to := trimmed(p, 0, len(p))
	return p[from:to]
}

// trimmed is trim for the part of p between two offsets.
func trimmed(p []byte, from, to int) (int, int) {
	for from < to && (p[from] == ' ' || p[from] == '\t') {
		from++
	}
	for from < to && (p[to-1] == ' ' || p[to-1] == '\t') {
		to--
	}
	return from, to
}

// cut takes the first element off a comma-separated list (RFC 9110 §5.6.1)
// and returns it without the white space around it, and the rest.
func cut(list []byte) (element, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}
