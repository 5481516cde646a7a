package rules_test

import (
	"slices"
	"strings"
	"testing"

	"phalanx/internal/rules"
)

func parseHeaders(t testing.TB, text string) *rules.Set {
	t.Helper()
	s, err := rules.Parse(rules.Text{Kind: rules.Headers, Name: "_headers", Bytes: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// served is a head as written by the server.
const served = "HTTP/1.1 200 OK\r\nServer: phalanx\r\nX-Content-Type-Options: nosniff\r\nExpires: then\r\n" +
	"Cache-Control: max-age=43200\r\nVary: Accept-Encoding\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n"

// amended returns the changes to the head for a URL: new lines in order, and removed ones after
// a "-".
func amended(s *rules.Set, url string, about rules.About) []string {
	r := rules.Request{Path: []byte(url), Host: []byte("custom.domain")}
	if _, rest, ok := strings.Cut(url, "https://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		r = rules.Request{Path: []byte("/" + path), Host: []byte(host)}
	}
	var m rules.Match
	if !s.Fields(&m, r) {
		return nil
	}
	out := string(m.Amend([]byte("before"+served), len("before"), about))
	head, ok := strings.CutSuffix(strings.TrimPrefix(out, "before"), "\r\n\r\n")
	if !ok {
		return []string{out}
	}
	old := strings.Split(strings.TrimSuffix(served, "\r\n\r\n"), "\r\n")
	var diff []string
	lines := strings.Split(head, "\r\n")
	for _, line := range old {
		if !slices.Contains(lines, line) {
			diff = append(diff, "-"+line)
		}
	}
	for _, line := range lines {
		if !slices.Contains(old, line) {
			diff = append(diff, line)
		}
	}
	return diff
}

// TestHeaders has the examples of both hosts' documentation, and cases that it leaves open.
func TestHeaders(t *testing.T) {
	const pages = "# This is a comment\n/secure/page\n\tX-Frame-Options: DENY\n\tX-Content-Type-Options: nosniff\n\tReferrer-Policy: no-referrer\n\n" +
		"/static/*\n\tAccess-Control-Allow-Origin: *\n\tX-Robots-Tag: nosnippet\n\nhttps://myproject.pages.dev/*\n\tX-Robots-Tag: noindex\n"
	const netlify = "# a path:\n/templates/index.html\n  # headers for that path:\n  X-Frame-Options: DENY\n  X-XSS-Protection: 1; mode=block\n" +
		"/templates/index2.html\n  X-Frame-Options: SAMEORIGIN\n/multi\n  cache-control: max-age=0\n  cache-control: no-cache\n  cache-control: no-store\n  cache-control: must-revalidate\n"
	for _, test := range []struct {
		rules, url string
		want       []string
	}{
		{pages, "/secure/page", []string{"X-Frame-Options: DENY", "Referrer-Policy: no-referrer"}},
		{pages, "/static/image.jpg", []string{"Access-Control-Allow-Origin: *", "X-Robots-Tag: nosnippet"}},
		{pages, "https://myproject.pages.dev/home", []string{"X-Robots-Tag: noindex"}},
		{pages, "https://myproject.pages.dev/static/styles.css", []string{"Access-Control-Allow-Origin: *", "X-Robots-Tag: nosnippet, noindex"}},
		{pages, "/else", nil},
		{netlify, "/templates/index.html", []string{"X-Frame-Options: DENY", "X-XSS-Protection: 1; mode=block"}},
		{netlify, "/templates/index2.html", []string{"X-Frame-Options: SAMEORIGIN"}},
		{netlify, "/multi", []string{"-Expires: then", "-Cache-Control: max-age=43200", "cache-control: max-age=0, no-cache, no-store, must-revalidate"}},
		{"/*\n  Content-Security-Policy: default-src 'self';\n/*.jpg\n  ! Content-Security-Policy\n", "/a", []string{"Content-Security-Policy: default-src 'self';"}},
		{"/*\n  Content-Security-Policy: default-src 'self';\n/*.jpg\n  ! Content-Security-Policy\n", "/a.jpg", nil},
		{"/movies/:title\n  x-movie-name: You are watching \":title\"\n", "/movies/jaws", []string{`x-movie-name: You are watching "jaws"`}},
		{"/movies/:title\n  x-movie-name: :title\n", "/movies/%0d%0aX:y", []string{`x-movie-name: %0D%0AX:y`}},
		{"https://:project.pages.dev/*\n  Access-Control-Allow-Origin: https://staging.:project.pages.dev/\n", "https://me.pages.dev/x", []string{"Access-Control-Allow-Origin: https://staging.me.pages.dev/"}},
		{"/*\n! X-Content-Type-Options\n", "/", []string{"-X-Content-Type-Options: nosniff"}},
		{"/*\n  ! cache-control\n", "/", []string{"-Expires: then", "-Cache-Control: max-age=43200"}},
		{"/*\n  Set-Cookie: a=1\n  Set-Cookie: b=2\n", "/", []string{"Set-Cookie: a=1", "Set-Cookie: b=2"}},
		{"/*\n  Vary: Origin\n", "/", []string{"Vary: Origin"}},
		{"/*\n  Content-Type: a/b\n", "/", []string{"-Content-Type: text/html", "Content-Type: a/b"}},
		{"/*\n  A: 1\n  B: 2\n  A: 3\n", "/", []string{"A: 1, 3", "B: 2"}},
		{"/*\n  A: 1\n/x\n  ! A\n  A: 2\n", "/x", []string{"A: 2"}},
	} {
		if got := amended(parseHeaders(t, test.rules), test.url, rules.File); !slices.Equal(got, test.want) {
			t.Errorf("%q: %s has %q, want %q", test.rules, test.url, got, test.want)
		}
	}
}

// TestFieldsOfFiles checks that errors and listings have no fields that describe a file.
func TestFieldsOfFiles(t *testing.T) {
	s := parseHeaders(t, "/*\n  Content-Type: a/b\n  Cache-Control: immutable\n  Netlify-CDN-Cache-Control: max-age=9\n"+
		"  X-Accel-Expires: 9\n  X-Frame-Options: DENY\n")
	for about, want := range map[rules.About][]string{
		rules.Other:     {"X-Frame-Options: DENY"},
		rules.Unchanged: {"-Expires: then", "-Cache-Control: max-age=43200", "Cache-Control: immutable", "Netlify-CDN-Cache-Control: max-age=9", "X-Accel-Expires: 9", "X-Frame-Options: DENY"},
	} {
		if got := amended(s, "/x", about); !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", about, got, want)
		}
	}
}

func TestHeadersRefused(t *testing.T) {
	for _, test := range []struct{ rules, want string }{
		{"X-A: b\n", `_headers:1: "X-A: b": a header field must follow a path`},
		{"/a\n/b\n  X: y\n", "_headers:1: no header field follows"},
		{"/a\n  X: y\n/b\n", "_headers:3: no header field follows"},
		{"/a\n  X y\n", "_headers:2: "},
		{"/a\n  X:\n", "the field has no value; '! X' removes it"},
		{"/a\n  ! X: y\n", "is removed with '! X'"},
		{"/a\n  X: \x00\n", "printable ASCII"},
		{"/a\n  X: ä\n", "printable ASCII"},
		{"/a\n  Content-Length: 5\n", "the server sets this field itself"},
		{"/a\n  X: y\n  transfer-encoding: chunked\n", "_headers:3: "},
		{"/a\n  ! Date\n", "the server sets this field itself"},
		{"/a\n  Connection: close\n", "the server sets this field itself"},
		{"/a\n  Basic-Auth: someuser:somepassword\n", "passwords do not belong"},
		{"/a\n  ! Vary\n", "caches would mix"},
		{"/*\n  X: " + strings.Repeat(":splat ", 70), "more than 64 pieces"},
		{"/a b\n  X: y\n", "on a line of its own"},
	} {
		_, err := rules.Parse(rules.Text{Kind: rules.Headers, Name: "_headers", Bytes: []byte(test.rules)})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q is refused with %v, want %q", test.rules, err, test.want)
		}
	}
	for option, want := range map[string]string{
		"/a: X: y": "", "/*: ! X": "", "https://example.org/*: X: y": "", "/a X: y": "a path must be", "/a: X": "has no value", "/a: X: y\r\nZ: 1": "line break",
	} {
		_, err := rules.Parse(rules.Text{Kind: rules.Headers, Name: "--header", Bytes: []byte(option), Option: true})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("--header %q: %v, want %q", option, err, want)
		}
	}
}
