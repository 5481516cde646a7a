package human

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"GET /grüße 日本語":       "GET /grüße 日本語",
		"\x1b]0;title\x07\x7f": `\x1b]0;title\x07\x7f`,
		"a\r\nb\tc":            `a\x0d\x0ab\x09c`,
		"\xff\xc3(":            `\xff\xc3(`,
		"\u009b31m":            `\u009b31m`,
		"\u202egnp.exe\u2066":  `\u202egnp.exe\u2066`,
		"a\u00a0b\u2028c":      `a\u00a0b\u2028c`,
		"\U000e0001":           `\U000e0001`,
		"\uFFFD":               "\uFFFD",
	} {
		if got := Visible(in); got != want {
			t.Errorf("Visible(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"GET / HTTP/1.1", "\u202e", "\xff\xef\xbf", "a\u2028b\u00a0c\u00adé", "\uFFFD"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Visible(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, isHidden) || len(got) < len([]rune(s)) {
			t.Errorf("%q becomes %q", s, got)
		}
		if again := Visible(got); again != got {
			t.Errorf("%q becomes %q in the end", got, again)
		}
	})
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in    string
		chars int
		want  string
	}{
		{"", 0, ""},
		{"grüße", 5, "grüße"},
		{"grüße", 4, "grüß… (1 byte more)"},
		{"grüße", 2, "gr… (5 bytes more)"},
		{"\xff\xff\xff", 1, "\xff… (2 bytes more)"},
		{"abc", 0, "… (3 bytes more)"},
	} {
		if got := Clip(c.in, c.chars); got != c.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.in, c.chars, got, c.want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"": `""`, "a.html": "a.html", "grüße": "grüße", "a b": `"a b"`, "X-C:": `"X-C:"`, ":80": ":80", `a"b`: `"a\"b"`, "\x1b[2J": `"\x1b[2J"`, "\xff": `"\xff"`,
	} {
		if got := Quoted(in); got != want {
			t.Errorf("Quoted(%q) = %s, want %s", in, got, want)
		}
	}
}
