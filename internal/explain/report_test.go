package explain

import (
	"strings"
	"testing"
)

func TestBaseComesFirst(t *testing.T) {
	const want = "Document root\n  /srv/a b\\x1b\n\nRequest\n  GET / HTTP/1.1\n"
	if got := (Report{Base: "/srv/a b\x1b", Request: []string{"GET / HTTP/1.1"}}).String(); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFolded(t *testing.T) {
	long := strings.Repeat("x", width)
	for line, want := range map[string]string{
		"":                     "  \n",
		"X-A:  two  spaces":    "  X-A:  two  spaces\n",
		long:                   "  " + long[:width-2] + "\n    xx\n",
		long[:width-2] + " y":  "  " + long[:width-2] + "\n    y\n",
		long[:width-4] + " yz": "  " + long[:width-4] + "\n    yz\n",
		"X-A: " + long:         "  X-A:\n    " + long[:width-4] + "\n    xxxx\n",
		" " + long[:width-3]:   "   " + long[:width-3] + "\n",
	} {
		var b strings.Builder
		if folded(&b, line); b.String() != want {
			t.Errorf("%q:\n%s\nwant\n%s", line, b.String(), want)
		}
	}
}
