package website

import "math/rand/v2"

// appendID appends 128 random bits as hexadecimal digits: the id of a request
// that came without one. It has to be unique, and need not be secret.
func appendID(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for range 2 {
		for x, n := rand.Uint64(), 0; n < 16; x, n = x>>4, n+1 {
			dst = append(dst, digits[x&15])
		}
	}
	return dst
}
