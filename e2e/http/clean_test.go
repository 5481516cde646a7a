package http

import (
	"net/http"
	"path/filepath"
	"testing"

	"phalanx/e2e/harness"
)

// TestCleanURLs requests pages by all their paths, in combination with precompressed files, conditions,
// ranges, a fallback, listings, archives and rules.
func TestCleanURLs(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{
		"index.html": "home", "about.html": "0123456789", "about.html.gz": "GZ", "docs/index.html": "docs", "docs/a.html": "a", "both.html": "page", "both/x.txt": "x",
		"empty/x.html": "x", "app.html": "app", "404.html": "missing", "_redirects": "/alias /about.html 200\n/start /index.html 200\n/about /never 302\n/route/* /app 200\n",
	})
	for _, file := range harness.FilesOf(t, base) {
		harness.Aged(t, filepath.Join(base, file))
	}
	html := []string{"Content-Type: text/html; charset=utf-8", "Vary: Accept-Encoding"}
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--clean-urls", "--list", "--archive", "--model", model)
		expect(s, []exchange{
			{target: "/about?q", status: 200, body: "0123456789", header: html},
			{target: "/about", method: "HEAD", status: 200, header: []string{"Content-Length: 10"}},
			{target: "/about", fields: []string{"Accept-Encoding: gzip"}, status: 200, body: "GZ", header: append(html, "Content-Encoding: gzip")},
			{target: "/about", fields: []string{"Range: bytes=2-4"}, status: 206, body: "234"},
			{target: "/about", fields: []string{"If-Modified-Since: Thu, 04 Mar 2021 05:06:07 GMT"}, status: 304},
			{target: "/about.html?q=1", status: 308, body: "*", header: []string{"Location: /about?q=1"}},
			{target: "/about.html", method: "HEAD", status: 308, header: []string{"Location: /about"}},
			{target: "/about/", status: 308, body: "*", header: []string{"Location: /about"}},
			{target: "/index.html", status: 308, body: "*", header: []string{"Location: /"}},
			{target: "/docs", status: 301, body: "*", header: []string{"Location: /docs/"}},
			{target: "/docs/index.html", status: 308, body: "*", header: []string{"Location: /docs/"}},
			{target: "/docs/a", status: 200, body: "a"},
			{target: "/both", status: 200, body: "page"},
			{target: "//evil.com/about.html", status: 404, body: "missing"},
			{target: "//about.html", status: 308, body: "*", header: []string{"Location: /about"}},
			{target: "/alias", status: 200, body: "0123456789"},
			{target: "/start", status: 200, body: "home"},
			{target: "/route/7", status: 200, body: "app"},
			{target: "/nothing", status: 404, body: "missing"},
		})
		if l := s.List("/both/?format=json"); len(l.Entries) != 1 || l.Entries[0].Name != "x.txt" {
			t.Errorf("the listing has %v, want x.txt", l.Entries)
		}
		if r, err := http.Get(s.URL("/empty/?archive=tar")); err != nil || r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/x-tar" {
			t.Errorf("the archive: %v, error %v", r, err)
		} else {
			r.Body.Close()
		}
		spa := harness.Serve(t, base, "--clean-urls", "--spa", "app.html", "--model", model)
		expect(spa, []exchange{
			{target: "/about", status: 200, body: "0123456789"},
			{target: "/about.html", status: 308, body: "*", header: []string{"Location: /about"}},
			{target: "/users/7", status: 200, body: "app"},
			{target: "/users/7.js", status: 404, body: "missing"},
		})
	})
}
