package top

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		in    string
		cells int
		want  string
	}{
		{"", 5, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"abc", 1, "…"},
		{"abc", 0, ""},
		{"abc", -1, ""},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"日本語", 2, "…"},
		{"a\x1b[31mb", 40, `a\x1b[31mb`},
		{"\x1b]0;title\x07", 40, `\x1b]0;title\x07`},
		{"a\r\nb\tc\x7f", 40, `a\x0d\x0ab\x09c\x7f`},
		{"\xff\xc3", 40, `\xff\xc3`},
		{"\u009b31m", 40, `\u009b31m`},                               // C1 CSI
		{"\u202egnp.exe\u2066", 40, `\u202egnp.exe\u2066`},           // bidirectional controls
		{"a\u0301", 40, `a\u0301`},                                   // combining
		{"👩\u200d💻", 40, `👩\u200d💻`},                                 // joined
		{"🇩🇪", 40, `\U0001f1e9\U0001f1ea`},                           // a flag
		{"👍🏽", 40, `👍\U0001f3fd`},                                    // skin tone
		{"\u1112\u1161\u11ab", 40, "\u1112" + `\u1161\u11ab`},        // Hangul that joins
		{"\u00a0\u3000\u2028\u200b", 60, `\u00a0\u3000\u2028\u200b`}, // spaces that do not look like one
		{"grüße", 40, "grüße"},
	} {
		if got := clean(c.in, c.cells); got != c.want {
			t.Errorf("clean(%q, %d) = %q, want %q", c.in, c.cells, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"GET /a", "日本語", "\x1b[2J", "e\u0301\u200d", "🇩🇪🇩🇪", "\u0e01\u0e33", "क्षि", "\xf0\x9f"} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, s string, cells int) {
		cells = min(max(cells, -1), 500)
		for _, got := range []string{clean(s, cells), cutMiddle(s, cells), strings.TrimRight(pad(s, cells, true), " ")} {
			if ansi.StringWidth(got) > max(0, cells) || ansi.StringWidthWc(got) > max(0, cells) {
				t.Fatalf("%q became %q: %d and %d cells, want %d", s, got, ansi.StringWidth(got), ansi.StringWidthWc(got), cells)
			}
			for _, r := range got {
				if !unicode.IsPrint(r) || unicode.IsMark(r) {
					t.Fatalf("%q became %q, with %U", s, got, r)
				}
			}
		}
		if w := ansi.StringWidthWc(pad(s, cells, false)); w != max(0, cells) {
			t.Fatalf("padded to %d cells, want %d", w, cells)
		}
	})
}

func TestCutMiddle(t *testing.T) {
	for _, c := range []struct {
		in    string
		cells int
		want  string
	}{
		{"192.0.2.1:80", 21, "192.0.2.1:80"},
		{"[2001:db8:85a3:8d3:1319:8a2e:370:7348]:54321", 21, "[2001:db8:8…48]:54321"},
		{"192.0.2.100:54321", 5, "192.…"},
		{"日本語日本語日本語", 10, "日本…本語"},
	} {
		got := cutMiddle(c.in, c.cells)
		if got != c.want || textWidth(got) > c.cells {
			t.Errorf("cutMiddle(%q, %d) = %q, want %q", c.in, c.cells, got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in    string
		cells int
		lines int
		want  string
	}{
		{"terminal too small", 18, 2, "terminal too small"},
		{"terminal too small", 10, 2, "terminal|too small"},
		{"terminal too small", 10, 1, "terminal …"},
		{"terminal too small", 8, 9, "terminal|too|small"},
		{"terminal too small", 1, 1, "…"},
		{"terminal too small", 1, 3, "…"},
	} {
		if got := strings.Join(wrap(c.in, c.cells, c.lines), "|"); got != c.want {
			t.Errorf("wrap(%q, %d, %d) = %q, want %q", c.in, c.cells, c.lines, got, c.want)
		}
	}
}
