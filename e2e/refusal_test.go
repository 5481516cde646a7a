package e2e

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestRefusals sends what must not be served, whole and in single bytes.
func TestRefusals(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front", "sub/page.html": "page"})
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
		s := serve(t, base, "--recv", recv)
		for _, c := range cases {
			t.Run(recv+"/"+c.name, func(t *testing.T) {
				r, err := exchange(s.port, c.text)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(c.status, r.status) {
					t.Errorf("%d, want one of %v", r.status, c.status)
				}
				checkRefusal(t, r)
			})
		}
		s.mustServe("/", "front")
	}
}

// checkRefusal wants a small page and the standard fields.
func checkRefusal(t *testing.T, r *reply) {
	t.Helper()
	for _, field := range []string{"Date", "Server", "Content-Length", "Content-Type"} {
		if r.header.Get(field) == "" {
			t.Errorf("%d without %s", r.status, field)
		}
	}
	if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || !bytes.Contains(bytes.ToLower(r.body), []byte("<title>")) {
		t.Errorf("%d comes with %q, %.80q; want a page", r.status, r.header.Get("Content-Type"), r.body)
	}
	if len(r.body) > 2000 {
		t.Errorf("the page of %d has %d bytes", r.status, len(r.body))
	}
	if r.status == 405 && !strings.Contains(r.header.Get("Allow"), "GET") {
		t.Errorf("405 with Allow: %q", r.header.Get("Allow"))
	}
	if r.status == 301 && r.header.Get("Location") != "/sub/" {
		t.Errorf("301 to %q", r.header.Get("Location"))
	}
}

// TestEscape asks, in every spelling, for what lies beside the base.
func TestEscape(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"site/index.html": "front", "site/a/b.html": "b", "secret.txt": "SECRET", "site-too/x.txt": "SECRET"})
	targets := []string{
		"/../secret.txt", "/../site-too/x.txt", "/a/../../secret.txt", "/./../secret.txt", "/a/b.html/../../../secret.txt",
		"/%2e%2e/secret.txt", "/%2E%2E/secret.txt", "/.%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt",
		"/a%2f..%2f..%2fsecret.txt", "/..%5csecret.txt", "/..\\secret.txt", "/%252e%252e/secret.txt", "/%c0%ae%c0%ae/secret.txt",
		"/%uff0e%uff0e/secret.txt", "//secret.txt", "//../secret.txt", "/..;/secret.txt", "/..%00/secret.txt", "/.../secret.txt",
		dir + "/secret.txt", "/" + dir + "/secret.txt", "/%2f" + dir[1:] + "/secret.txt", "file://" + dir + "/secret.txt",
		"http://x/../secret.txt", "http://x" + dir + "/secret.txt", "..", "../secret.txt", "*", "secret.txt", "/..?/secret.txt", "/..#/secret.txt",
		"/proc/self/environ", "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/../../../../../../../../etc/passwd",
	}
	s := serve(t, dir+"/site")
	for _, target := range targets {
		r, err := exchange(s.port, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if bytes.Contains(r.body, []byte("SECRET")) || bytes.Contains(r.body, []byte("root:")) || r.status < 300 {
			t.Errorf("%s: %d %.60q", target, r.status, r.body)
		}
		if r.status >= 500 {
			t.Errorf("%s: %d, want a refusal that blames the client", target, r.status)
		}
	}
	s.mustServe("/a/b.html?/../x", "b")
}
