package http

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// TestRefusals sends requests that must be refused, read whole and byte by byte.
func TestRefusals(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front", "sub/page.html": "page"})
	host := "Host: x\r\n"
	cases := []struct {
		name, text string
		status     []int
	}{
		{"missing", "GET /no HTTP/1.1\r\n" + host + "\r\n", []int{404}},
		{"no index", "GET /sub/ HTTP/1.1\r\n" + host + "\r\n", []int{403, 404}},
		{"beneath a file", "GET /index.html/x HTTP/1.1\r\n" + host + "\r\n", []int{404}},
		{"unknown method", "BREW / HTTP/1.1\r\n" + host + "\r\n", []int{501}},
		{"lower case method", "get / HTTP/1.1\r\n" + host + "\r\n", []int{501}},
		{"known method", "DELETE / HTTP/1.1\r\n" + host + "\r\n", []int{405}},
		{"post", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", []int{405}},
		{"HTTP/2.0", "GET / HTTP/2.0\r\n" + host + "\r\n", []int{505}},
		{"no host", "GET / HTTP/1.1\r\n\r\n", []int{400}},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", []int{400}},
		{"bare LF", "GET / HTTP/1.1\n" + host + "\r\n", []int{400}},
		{"bare CR", "GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n", []int{400}},
		{"space before colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", []int{400}},
		{"folded", "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", []int{400}},
		{"two lengths", "GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", []int{400}},
		{"negative length", "GET / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", []int{400}},
		{"long line", "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\n" + host + "\r\n", []int{414}},
		{"long head", "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 16<<10) + "\r\n\r\n", []int{431}},
		{"NUL", "GET /%00 HTTP/1.1\r\n" + host + "\r\n", []int{400, 404}},
		{"bad escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", []int{400, 404}},
		{"directory", "GET /sub HTTP/1.1\r\n" + host + "\r\n", []int{301}},
	}
	for _, recv := range []string{"1", "65536"} {
		s := harness.Serve(t, base, "--recv", recv)
		for _, c := range cases {
			t.Run(recv+"/"+c.name, func(t *testing.T) {
				r, err := harness.Exchange(s.Port, c.text)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(c.status, r.Status) {
					t.Errorf("status %d, want one of %v", r.Status, c.status)
				}
				checkRefusal(t, r)
			})
		}
		s.MustServe("/", "front")
	}
}

// checkRefusal checks that an error response has a small HTML page and the standard fields.
func checkRefusal(t *testing.T, r *harness.Reply) {
	t.Helper()
	for _, field := range []string{"Date", "Server", "Content-Length", "Content-Type"} {
		if r.Header.Get(field) == "" {
			t.Errorf("%d without %s", r.Status, field)
		}
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || !bytes.Contains(bytes.ToLower(r.Body), []byte("<title>")) {
		t.Errorf("%d comes with %q, %.80q; want a page", r.Status, r.Header.Get("Content-Type"), r.Body)
	}
	if len(r.Body) > 2000 {
		t.Errorf("the page of %d has %d bytes, want at most 2000", r.Status, len(r.Body))
	}
	if r.Status == 405 && !strings.Contains(r.Header.Get("Allow"), "GET") {
		t.Errorf("405 with Allow: %q", r.Header.Get("Allow"))
	}
	if r.Status == 301 && r.Header.Get("Location") != "/sub/" {
		t.Errorf("301 to %q, want /sub/", r.Header.Get("Location"))
	}
}
