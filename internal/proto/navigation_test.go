package proto

import "testing"

func TestNavigates(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		want   bool
	}{
		{nil, true},
		{[]string{"Accept: */*"}, true},
		{[]string{"Accept: */*;q=0.1"}, true},
		{[]string{"Accept:"}, true},
		{[]string{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, true},
		{[]string{"Accept: application/xml", "Accept: TEXT/HTML;q=0.5"}, true},
		{[]string{"Accept: text/html;q=0, */*"}, false},
		{[]string{"Accept: application/json, text/plain, */*"}, false},
		{[]string{"Accept: image/avif,image/webp,*/*;q=0.8"}, false},
		{[]string{"Accept: text/css,*/*;q=0.1"}, false},
		{[]string{"Accept: */*;q=0"}, false},
		{[]string{"Accept: text/*"}, false},
		{[]string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}, true},
		{[]string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Accept: */*"}, true},
		{[]string{"Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: document"}, true},
		{[]string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script", "Accept: */*"}, false},
		{[]string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: text/html"}, false},
		{[]string{"Sec-Fetch-Dest: image"}, false},
	} {
		r, head := parsed(t, tt.fields...)
		if got := Navigates(r, head); got != tt.want {
			t.Errorf("%q: %v", tt.fields, got)
		}
	}
}
