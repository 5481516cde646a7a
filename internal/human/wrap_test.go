package human

import "testing"

func TestWrap(t *testing.T) {
	for _, c := range []struct{ first, others, text, want string }{
		{"", "", "", "\n"},
		{"  ", "", "", "\n"},
		{"", "", "one  two\nthree", "one two\nthree\n"},
		{"- ", "  ", "one two three", "- one two\n  three\n"},
		{"", " ", "grüße, welt", "grüße,\n welt\n"},
		{"", " ", "abcdefghijklmno", "abcdefghij\n klmno\n"},
		{"", " ", "a bcdefghijklm n", "a\n bcdefghij\n klm n\n"},
	} {
		if got := Wrap(10, c.first, c.others, c.text); got != c.want {
			t.Errorf("Wrap(%q, %q, %q) = %q, want %q", c.first, c.others, c.text, got, c.want)
		}
	}
}
