package http

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// exchange is a request and its expected response.
type exchange struct {
	method string // GET if empty
	target string
	fields []string // of the request
	status int
	body   string   // the whole body; "*" accepts any
	header []string // "Name: value", or "Name:" if the field must be absent
}

// expect makes the requests and reports responses that differ from the expected ones.
func expect(s *harness.Server, exchanges []exchange) {
	s.T.Helper()
	for _, w := range exchanges {
		if w.method == "" {
			w.method = "GET"
		}
		r, err := requestOnce(s, w.method, w.target, w.fields)
		what := fmt.Sprintf("%s %s %q", w.method, w.target, w.fields)
		if err != nil {
			s.T.Errorf("%s: %v", what, err)
			continue
		}
		if r.Status != w.status || w.body != "*" && string(r.Body) != w.body {
			s.T.Errorf("%s: %d %.80q, want %d %q", what, r.Status, r.Body, w.status, w.body)
		}
		for _, field := range w.header {
			name, value, _ := strings.Cut(field, ":")
			if got := strings.Join(r.Header.Values(name), "; "); got != strings.TrimSpace(value) {
				s.T.Errorf("%s: %s: %q, want %q", what, name, got, strings.TrimSpace(value))
			}
		}
	}
}

// requestOnce makes a request on a connection of its own. The response ends with the connection, so that one
// to OPTIONS needs no length.
func requestOnce(s *harness.Server, method, target string, fields []string) (*harness.Reply, error) {
	text := harness.Request(method, target, append(slices.Clone(fields), "Connection: close")...)
	if method != "OPTIONS" {
		return harness.Exchange(s.Port, text)
	}
	c, err := harness.Connect(s.Port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Send(text); err != nil {
		return nil, err
	}
	r, err := c.Head()
	if err == nil {
		r.Body, err = io.ReadAll(c.In)
	}
	return r, err
}

// refusals returns exchanges for targets that must be refused with a status.
func refusals(status int, targets ...string) (all []exchange) {
	for _, target := range targets {
		all = append(all, exchange{target: target, status: status, body: "*"})
	}
	return all
}

// TestDotfiles requests hidden files and listings, with and without --dotfiles.
func TestDotfiles(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{
		".env": "SECRET", ".git/config": "SECRET", "sub/.htpasswd": "SECRET", ".well-known/acme/token": "token",
		".well-known/.hidden": "SECRET", "a.b/c": "dots", "sub/file": "file",
	})
	closed := harness.Serve(t, base, "--list")
	expect(closed, refusals(404, "/.env", "/%2eenv", "/.git/config", "/.git/", "/.git", "/sub/.htpasswd", "/.well-known/.hidden"))
	expect(closed, []exchange{
		{target: "/.well-known/acme/token", status: 200, body: "token"},
		{target: "/a.b/c", status: 200, body: "dots"},
	})
	shown := harness.Serve(t, base, "--list", "--dotfiles")
	expect(shown, refusals(404, "/../.env", "/sub/../.env"))
	expect(shown, []exchange{
		{target: "/.env", status: 200, body: "SECRET"},
		{target: "/.git/config", status: 200, body: "SECRET"},
		{target: "/sub/.htpasswd", status: 200, body: "SECRET"},
	})
	for s, want := range map[*harness.Server]string{closed: ".well-known a.b sub", shown: ".git .well-known a.b sub .env"} {
		var names []string
		for _, e := range s.List("/?format=json").Entries {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("the listing has %s, want %s", got, want)
		}
	}
}

// TestSPA requests routes of a single-page application, files, and paths that are neither.
func TestSPA(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{
		"app.html": "app", "app.html.gz": "gz", "file.txt": "file", "dir/x.txt": "x", "404.html": "missing", ".env": "SECRET",
	})
	harness.Aged(t, filepath.Join(base, "app.html"), filepath.Join(base, "app.html.gz"))
	html := []string{"Content-Type: text/html; charset=utf-8", "Cache-Control: no-cache", "Vary: Accept-Encoding, Accept, Sec-Fetch-Mode, Sec-Fetch-Dest"}
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		expect(harness.Serve(t, base, "--spa", "/app.html", "--model", model, "--cache", "*.html=no-cache"), []exchange{
			{target: "/users/7?x=1", status: 200, body: "app", header: html},
			{target: "/users/7", fields: []string{"Accept-Encoding: gzip"}, status: 200, body: "gz", header: append(html, "Content-Encoding: gzip")},
			{target: "/users/7", fields: []string{"Range: bytes=0-0"}, status: 206, body: "a"},
			{target: "/users/7", fields: []string{"If-Modified-Since: Thu, 04 Mar 2021 05:06:07 GMT"}, status: 304},
			{target: "/users/7", method: "HEAD", status: 200, header: []string{"Content-Length: 3"}},
			{target: "/users/7", method: "POST", status: 405, body: "*"},
			{target: "/file.txt/route", status: 200, body: "app"},
			{target: "/file.txt", status: 200, body: "file"},
			{target: "/dir", status: 301, body: "*", header: []string{"Location: /dir/"}},
			{target: "/dir/", status: 403, body: "*"},
			{target: "/users/7", fields: []string{"Accept: text/html, */*;q=0.1"}, status: 200, body: "app"},
			{target: "/users/7", fields: []string{"Sec-Fetch-Mode: navigate", "Accept: */*"}, status: 200, body: "app"},
			{target: "/api/7", fields: []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*"}, status: 404, body: "missing"},
			{target: "/api/7", fields: []string{"Accept: application/json, text/plain, */*"}, status: 404, body: "missing"},
			{target: "/missing.js", status: 404, body: "missing"},
			{target: "/img/missing.png", fields: []string{"Accept: text/html"}, status: 404, body: "missing"},
			{target: "/.env", status: 404, body: "missing"},
			{target: "/../x", status: 404, body: "missing"},
			{target: "/%zz", status: 400, body: "*"},
		})
	})
}

// TestSPACaching checks that the fallback may be cached under its own name but not for the routes that it
// serves, unless --cache says so.
func TestSPACaching(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "app"})
	harness.Aged(t, filepath.Join(base, "index.html"))
	expect(harness.Serve(t, base, "--spa", "index.html"), []exchange{
		{target: "/", status: 200, body: "app", header: []string{"Cache-Control: max-age=43200"}},
		{target: "/route", status: 200, body: "app", header: []string{"Cache-Control: no-cache", "Expires:"}},
	})
	expect(harness.Serve(t, base, "--spa", "index.html", "--cache", "index.html=max-age=5"), []exchange{
		{target: "/route", status: 200, body: "app", header: []string{"Cache-Control: max-age=5", "Expires:"}},
	})
}

// TestHeaderFlag expects the fields of --header in responses of every status.
func TestHeaderFlag(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"file.txt": "0123456789", "dir/x": "x"})
	harness.Aged(t, filepath.Join(base, "file.txt"))
	s := harness.Serve(t, base, "--header", "X-Frame-Options: DENY", "--header", "X-Two: a", "--header", "X-Two: b", "--header", "x-content-type-options: maybe")
	own := []string{"X-Frame-Options: DENY", "X-Two: a; b", "X-Content-Type-Options: maybe"}
	exchanges := []exchange{
		{target: "/file.txt", status: 200},
		{target: "/file.txt", method: "HEAD", status: 200},
		{target: "/file.txt", fields: []string{"Range: bytes=1-2"}, status: 206},
		{target: "/file.txt", fields: []string{"Range: bytes=0-1,5-6"}, status: 206},
		{target: "/file.txt", fields: []string{"Range: bytes=99-"}, status: 416},
		{target: "/file.txt", fields: []string{`If-Match: "x"`}, status: 412},
		{target: "/file.txt", fields: []string{"If-None-Match: *"}, status: 304},
		{target: "/file.txt", method: "POST", status: 405},
		{target: "/file.txt", method: "BREW", status: 501},
		{target: "/dir", status: 301},
		{target: "/dir/", status: 403},
		{target: "/none", status: 404},
		{target: "/%zz", status: 400},
	}
	for i := range exchanges {
		exchanges[i].body, exchanges[i].header = "*", own
	}
	expect(s, exchanges)
	plain := []string{"X-Content-Type-Options: nosniff", "X-Frame-Options:"}
	expect(harness.Serve(t, base), []exchange{{target: "/file.txt", status: 200, body: "*", header: plain}, {target: "/none", status: 404, body: "*", header: plain}})
}

// TestCacheRules sets Cache-Control by path with --cache: the first rule that matches applies.
func TestCacheRules(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{
		"index.html": "i", "assets/app.3f2a.js": "j", "assets/deep/er.css": "c", "sub/page.html": "p", "sub/index.html": "s", "data.json": "d",
		"404.html": "m", "app.js": "plain", "app.js.gz": "gz",
	})
	for _, file := range harness.FilesOf(t, base) {
		harness.Aged(t, filepath.Join(base, file))
	}
	s := harness.Serve(t, base, "--expires", "90s", "--cache", "assets/**=public, max-age=31536000, immutable", "--cache", "/index.html=no-store",
		"--cache", "*.html=no-cache", "--cache", "app.js=max-age=1")
	const forever = "public, max-age=31536000, immutable"
	rule := func(status int, target, want string, fields ...string) exchange {
		return exchange{target: target, fields: fields, status: status, body: "*", header: []string{"Cache-Control: " + want}}
	}
	expect(s, []exchange{
		rule(200, "/assets/app.3f2a.js", forever),
		rule(304, "/assets/app.3f2a.js", forever, "If-None-Match: *"),
		rule(206, "/assets/app.3f2a.js", forever, "Range: bytes=0-0"),
		rule(200, "/assets/deep/er.css", forever),
		rule(200, "/", "no-store"),
		rule(200, "/index.html", "no-store"),
		rule(200, "/%69ndex.html?x", "no-store"),
		rule(200, "/sub/page.html", "no-cache"),
		rule(200, "/sub/", "no-cache"),
		rule(200, "/data.json", "max-age=90"),
		rule(200, "/app.js", "max-age=1"),
		rule(200, "/app.js", "max-age=1", "Accept-Encoding: gzip"),
		rule(200, "/app.js.gz", "max-age=90"),
		{target: "/missing", status: 404, body: "m", header: []string{"Cache-Control:"}},
	})
}

// TestErrorPages serves the site's own pages for missing files and for server errors. The latter is
// a file that another process has leased: it cannot be opened at once, and the server does not wait
// (fcntl(2)).
func TestErrorPages(t *testing.T) {
	t.Parallel()
	html := "Content-Type: text/html; charset=utf-8"
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		base := harness.Tree(t, map[string]string{"404.html": "own 404", "50x.html": "own 50x", "busy.txt": "busy", "dir/x": "x"})
		busy, err := os.OpenFile(filepath.Join(base, "busy.txt"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { busy.Close() })
		// The kernel ends a lease 45 s after another process has opened the file, so it is not shared by the models.
		if _, err := unix.FcntlInt(busy.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
			t.Fatalf("lease: %v", err)
		}
		expect(harness.Serve(t, base, "--model", model), []exchange{
			{target: "/missing", status: 404, body: "own 404", header: []string{html, "Content-Length: 7", "ETag:", "Cache-Control:"}},
			{target: "/missing", method: "HEAD", status: 404, header: []string{html, "Content-Length: 7"}},
			{target: "/missing", fields: []string{"Range: bytes=0-0", "If-None-Match: *"}, status: 404, body: "own 404"},
			{target: "/404.html", status: 200, body: "own 404"},
			{target: "/busy.txt", status: 503, body: "own 50x", header: []string{html, "Retry-After: 1"}},
			{target: "/busy.txt", method: "HEAD", status: 503, header: []string{"Content-Length: 7"}},
			{target: "/dir/", status: 403, body: "*"},
		})
	})
}

// TestCORS makes the requests that a browser makes before a script of another origin may read a file.
func TestCORS(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"file.txt": "0123456789"})
	const origin, allowed, none = "Origin: https://other.test", "Access-Control-Allow-Origin: *", "Access-Control-Allow-Origin:"
	preflight := []string{origin, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization, range, x-own"}
	methods := "Access-Control-Allow-Methods:"
	expect(harness.Serve(t, base, "--cors"), []exchange{
		{target: "/file.txt", fields: []string{origin}, status: 200, body: "*", header: []string{allowed}},
		{target: "/file.txt", status: 200, body: "*", header: []string{allowed}},
		{target: "/none", fields: []string{origin}, status: 404, body: "*", header: []string{allowed}},
		{target: "/file.txt", method: "OPTIONS", fields: preflight, status: 204,
			header: []string{allowed, methods + " GET, HEAD, OPTIONS", "Access-Control-Allow-Headers: *, Authorization", "Allow: GET, HEAD, OPTIONS"}},
	})
	expect(harness.Serve(t, base), []exchange{
		{target: "/file.txt", fields: []string{origin}, status: 200, body: "*", header: []string{none}},
		{target: "/file.txt", method: "OPTIONS", fields: preflight, status: 204, header: []string{none, methods}},
	})
}
