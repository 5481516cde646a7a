package explain

import (
	"errors"
	"strings"
	"testing"

	"phalanx/internal/exitcode"

	"phalanx/internal/site"
)

func TestNewRequest(t *testing.T) {
	tests := []struct {
		name, method, url string
		fields            []string
		want              string // the lines
		note              string // a part of the notes; empty: there are none
	}{
		{name: "a path", url: "/a?b=c", want: "GET /a?b=c HTTP/1.1|Host: localhost"},
		{name: "an http URL", url: "HTTP://example.org:81/a", want: "GET /a HTTP/1.1|Host: example.org:81"},
		{name: "a URL without a path", url: "http://[::1]", want: "GET / HTTP/1.1|Host: [::1]"},
		{name: "a URL with a query alone", url: "http://a?b", want: "GET /?b HTTP/1.1|Host: a"},
		{name: "two slashes are a path", url: "//a/b", want: "GET //a/b HTTP/1.1|Host: localhost"},
		{name: "the star", method: "OPTIONS", url: "*", want: "OPTIONS * HTTP/1.1|Host: localhost"},
		{name: "a Host", url: "http://a/b", fields: []string{"X: y", "hOST:  c "}, want: "GET /b HTTP/1.1|X: y|hOST: c"},
		{name: "an empty Host", url: "/", fields: []string{"Host:"}, want: "GET / HTTP/1.1|Host: "},
		{name: "a space", url: "/a b", want: "GET /a%20b HTTP/1.1|Host: localhost", note: `"/a b" was encoded`},
		{name: "a line break", url: "/a\r\nb", want: "GET /a%0D%0Ab HTTP/1.1|Host: localhost", note: "was encoded"},
		{name: "a fragment", url: "/a#b?c", want: "GET /a HTTP/1.1|Host: localhost", note: `"#b?c" stays`},
		{name: "beyond ASCII", url: "/ä", want: "GET /ä HTTP/1.1|Host: localhost", note: "beyond ASCII"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := asking(t, tt.method, tt.url, tt.fields...)
			if got := strings.Join(r.lines(), "|"); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			notes := strings.Join(r.Notes, " ")
			if !strings.Contains(notes, tt.note) || tt.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

func TestNewRequestRefuses(t *testing.T) {
	tests := []struct {
		url, field, want string
	}{
		{"", "", `URL "": must be a path such as /a.html, or http://HOST/a.html`},
		{"a/b", "", `URL "a/b": must be a path such as /a.html, or http://HOST/a.html`},
		{"a/b?c=http://d", "", `URL "a/b?c=http://d": must be a path such as /a.html, or http://HOST/a.html`},
		{"ftp://a/", "", `URL "ftp://a/": only http and https are served; give the path, or the URL with http://`},
		{"http://", "", `URL "http://": it has no host; give one, or the path alone`},
		{"http:///a", "", `URL "http:///a": it has no host; give one, or the path alone`},
		{"http://me:secret@a/", "", `URL "http://me:secret@a/": must not contain a user and a password; leave them out`},
		{"http://a\nb/", "", `URL "http://a\nb/": the host must be ASCII without spaces; a name in other letters begins with xn--`},
		{"http://ä/", "", `URL "http://ä/": the host must be ASCII without spaces; a name in other letters begins with xn--`},
		{"/", "Range", `-H "Range": must be 'Name: value', such as 'Accept-Encoding: br'`},
		{"/", ": a", `-H ": a": must be 'Name: value', such as 'Accept-Encoding: br'`},
		{"/", "A: b\nC: d", `-H "A: b\nC: d": a field is one line; give each its own -H`},
	}
	for _, tt := range tests {
		var fields []string
		if tt.field != "" {
			fields = []string{tt.field}
		}
		_, err := NewRequest("", tt.url, fields)
		wrong, ok := errors.AsType[*exitcode.Error](err)
		if !ok || wrong.Text != tt.want || wrong.Code != 64 {
			t.Errorf("%q %q: %v, want %s", tt.url, tt.field, err, tt.want)
		}
	}
}

// A line break would make the report show another request than it explains.
func TestRunRefusesLineBreaks(t *testing.T) {
	cfg, root := open(t, plant(t), nil)
	for _, r := range []Request{
		{Method: "GET\r\n", Target: "/"}, {Method: "GET", Target: "/\n"}, {Method: "GET", Target: "/", Fields: []string{"A: b\rC"}},
		{Method: "GET", Target: "/", Fields: []string{"Host: a", ""}},
	} {
		if _, err := Run(cfg, []*site.Root{root}, r, fixed); err == nil || !strings.Contains(err.Error(), "must not be empty or contain a line break") {
			t.Errorf("%q: %v", r.lines(), err)
		}
	}
}
