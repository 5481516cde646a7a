package harness

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Aged sets the modification time of files to Modified, which is old enough for
// a validator.
func Aged(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Chtimes(path, Modified(), Modified()); err != nil {
			t.Fatal(err)
		}
	}
}

// Modified returns the modification time that Aged sets.
func Modified() time.Time { return time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC) }

// OddNames returns file names that servers often mishandle.
func OddNames() []string {
	return []string{
		"a b.txt", " lead and trail ", "tab\there.txt", "line\nbreak.txt", "esc\x1b[31m.txt", "del\x7f.txt",
		"plus+plus.txt", "per%cent.txt", "%41.txt", "a%2fb.txt", "%", "q?x=1.html", "hash#1.html",
		"semi;colon.txt", "colon:a", "at@sign", "amp&eq=1", "comma,dollar$", "star*bang!", "tilde~",
		"(round)[square]{curly}", "pipe|caret^tick`", "back\\slash.txt", "quote'\".txt", "<angle>.html",
		"gr\u00fc\u00dfe.html", "\u65e5\u672c\u8a9e.txt", "\U0001f6e1.txt", "nfc-\u00e9.txt", "nfd-e\u0301.txt",
		"not-utf8-\xff\xfe.bin", "\u202egnp.exe", ".well-known/probe.txt", "a..", "b...c",
		"name.", "noextension", "UPPER.HTML", "two.dots.min.js", "dir.with.dots/index.html", "d e/f g/h.txt",
		strings.Repeat("n", 251) + ".txt", strings.Repeat("deep/", 60) + "bottom.txt",
	}
}

// Noise returns size pseudo-random bytes, which depend on name and size only.
func Noise(name string, size int) []byte {
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("%d %s", size, name))
	b := make([]byte, size)
	// ChaCha8 never fails to read.
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// Moment parses a header field that holds a date, in the only format that may be
// sent (RFC 9110, 5.6.7).
func Moment(t *testing.T, r *Reply, field string) time.Time {
	t.Helper()
	at, err := time.Parse(http.TimeFormat, r.Header.Get(field))
	if err != nil {
		t.Errorf("%s %q: %v", field, r.Header.Get(field), err)
	}
	return at
}

// Snippet returns the code block of a documentation page that begins with a line, without
// that line.
func Snippet(t *testing.T, page, begin string) string {
	t.Helper()
	text := Read(t, Repository(t, page))
	_, rest, found := strings.Cut(string(text), "\n"+begin+"\n")
	block, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatalf("%s has no block that begins with %q", page, begin)
	}
	return block
}
