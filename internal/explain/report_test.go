package explain

import (
	"strings"
	"testing"
)

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
