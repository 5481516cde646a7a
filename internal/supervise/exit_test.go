package supervise

import (
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var tl tail
	long := strings.Repeat("x", 3*tailSize)
	for _, p := range []string{"first\n", long, "last\n"} {
		if n, err := tl.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := tl.String(); len(got) != tailSize-1 || !strings.HasSuffix(got, "xlast") || cap(tl.b) > 4*tailSize {
		t.Errorf("%d bytes, capacity %d, ends in %q", len(got), cap(tl.b), got[len(got)-8:])
	}
}

func TestCauseIsOneLine(t *testing.T) {
	for words, want := range map[string]string{
		"":                       "exit status 2",
		"phalanx: no root":       "exit status 2: no root",
		"a\nfatal error: b\nc":   "exit status 2: fatal error: b",
		"a\r\x1b[2J\xff":         "exit status 2: a  [2J\ufffd",
		strings.Repeat("ü", 999): "exit status 2: " + strings.Repeat("ü", 385) + "…",
	} {
		if got := (Exit{Code: 2, LastWords: words}).cause(); got != want {
			t.Errorf("%.40q: %q, want %q", words, got, want)
		}
	}
}
