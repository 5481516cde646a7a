package proto

// AppendEscaped appends s. Bytes that are not plain are percent-encoded (RFC 3986 §2.1).
func AppendEscaped[T string | []byte](dst []byte, s T, plain func(c byte) bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; plain(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// Unescape decodes the percent-encoded byte at the start of p (RFC 3986 §2.1), which begins
// with "%"; false if it is malformed.
func Unescape(p []byte) (byte, bool) {
	if len(p) < 3 || !is(p[1], charHex) || !is(p[2], charHex) {
		return 0, false
	}
	return hexValue(p[1])<<4 | hexValue(p[2]), true
}
