package admin

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzAccept(f *testing.F) {
	f.Add("text/html;q=0.5, application/json")
	f.Add("text/html;q=NaN")
	f.Fuzz(func(t *testing.T, accept string) {
		if wantsHTML([]string{accept}) && !strings.Contains(strings.ToLower(accept), "text/html") {
			t.Errorf("%q wants no page", accept)
		}
	})
}

func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"GET / HTTP/1.1", "\u202e", "\xff\xef\xbf", "a\u2028b\u00a0c\u00adé", "\uFFFD"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := visible(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) || len(got) < len([]rune(s)) {
			t.Errorf("%q becomes %q", s, got)
		}
		if again := visible(got); again != got {
			t.Errorf("%q becomes %q in the end", got, again)
		}
	})
}
