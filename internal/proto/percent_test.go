package proto

import "testing"

// Every byte is decoded to itself after it was encoded.
func TestAppendEscaped(t *testing.T) {
	plain := func(c byte) bool { return 'a' <= c && c <= 'z' }
	if got := string(AppendEscaped([]byte("x:"), "a/\xffb%\n", plain)); got != "x:a%2F%FFb%25%0A" {
		t.Errorf("%q", got)
	}
	for n := range 256 {
		c := byte(n)
		escaped := AppendEscaped(nil, []byte{c}, plain)
		if got, ok := Unescape(escaped); plain(c) && string(escaped) != string(c) || !plain(c) && (!ok || got != c) {
			t.Errorf("%#x is encoded as %q", c, escaped)
		}
	}
}
