package admin

import (
	"strings"
	"testing"
)

func FuzzAccept(f *testing.F) {
	f.Add("text/html;q=0.5, application/json")
	f.Add("text/html;q=NaN")
	f.Fuzz(func(t *testing.T, accept string) {
		if wantsHTML([]string{accept}) && !strings.Contains(strings.ToLower(accept), "text/html") {
			t.Errorf("%q gets no HTML page", accept)
		}
	})
}
