package explain

import (
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"phalanx/internal/site"
)

// For any request there is a report or an error of one line. A report has a rule for each
// line, and no terminal control characters.
func FuzzRun(f *testing.F) {
	for _, k := range cases {
		f.Add(k.method, k.url, strings.Join(k.fields, "\n"))
		f.Add(k.method, "https://localhost"+k.url, strings.Join(k.fields, "\n")) // by HTTP/2
	}
	f.Add("\x1b[2J", "/\u202e\u0085\xff", "A: \x9b\nB\u2066: c")
	cfg, root := open(f, plant(f), listing)
	cfg.HTTP2 = true
	f.Fuzz(func(t *testing.T, method, url, fields string) {
		var list []string
		if fields != "" {
			list = strings.Split(fields, "\n")
		}
		r, err := NewRequest(method, url, list)
		if err != nil {
			r = Request{Method: method, Target: url, Fields: list}
		}
		report, err := Run(cfg, []*site.Root{root}, r, fixed)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b") {
				t.Fatalf("%q", err)
			}
			return
		}
		for _, line := range report.Lines {
			if line.Why == "" || line.Why == Unknown {
				t.Fatalf("no rule explains %q", line.Text)
			}
		}
		text := report.String()
		if !utf8.ValidString(text) {
			t.Fatalf("invalid UTF-8: %q", text)
		}
		for _, c := range text {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Fatalf("%U in %q", c, text)
			}
		}
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(line) > width+1 {
				t.Fatalf("too wide: %q", line)
			}
		}
	})
}

// No request leaves a file open.
func TestNothingStaysOpen(t *testing.T) {
	dir := plant(t)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	cfg, root := open(t, dir, listing)
	before := count()
	for _, k := range cases {
		reportOf(t, cfg, []*site.Root{root}, asking(t, k.method, k.url, k.fields...), fixed)
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors, want %d as before", after, before)
	}
}
