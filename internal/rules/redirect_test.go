package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"phalanx/internal/rules"
)

// parse parses a _redirects file.
func parse(t testing.TB, text string) *rules.Set {
	t.Helper()
	s, err := rules.Parse(rules.Text{Name: "_redirects", Bytes: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// decide returns "STATUS TARGET" for a URL, or "" if no rule matches.
func decide(s *rules.Set, url string) string {
	r := rules.Request{Host: []byte("www.example.org")}
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		r.Secure = scheme == "https"
		host, path, _ := strings.Cut(rest, "/")
		host, port, _ := strings.Cut(host, ":")
		r.Host, r.Port, url = []byte(host), []byte(port), "/"+path
	}
	path, query, ok := strings.Cut(url, "?")
	if ok {
		query = "?" + query
	}
	r.Path, r.Query = []byte(path), []byte(query)
	var m rules.Match
	if !s.Find(&m, r) {
		return ""
	}
	forced := ""
	if m.Forced() {
		forced = "!"
	}
	return fmt.Sprintf("%d%s %s", m.Status(), forced, m.Target())
}

// netlify has the examples of Netlify's documentation, and what its text says.
var netlify = []struct{ rules, url, want string }{
	// Redirects and rewrites: syntax.
	{"/home /", "/home", "301 /"},
	{"# comment\n/home /\n/blog/my-post.php /blog/my-post # why\n/news /blog", "/blog/my-post.php", "301 /blog/my-post"},
	{"/cuties https://www.petsofnetlify.com", "/cuties", "301 https://www.petsofnetlify.com/"},
	{"/authors/c%C3%A9line /authors/about-c%C3%A9line", "/authors/c%C3%A9line", "301 /authors/about-c%C3%A9line"},
	{"/authors/c%C3%A9line /authors/about-c%C3%A9line", "/authors/c%c3%a9line", "301 /authors/about-c%C3%A9line"},
	{"/home /", "/Home", ""}, // paths are case-sensitive
	// The first match counts.
	{"/blog /a\n/blog /b", "/blog", "301 /a"},
	{"/blog/* /a\n/blog/x /b", "/blog/x", "301 /a"},
	// Status codes.
	{"/my-redirect / 302", "/my-redirect", "302 /"},
	{"/ecommerce /store-closed 404", "/ecommerce", "404 /store-closed"},
	{"/ecommerce /store-closed 410", "/ecommerce", "410 /store-closed"},
	{"/pass-through /index.html 200", "/pass-through", "200 /index.html"},
	{"/en/* /en/404.html 404\n/de/* /de/404.html 404", "/de/x/y", "404 /de/404.html"},
	// Trailing slashes make no difference.
	{"/blog/title-with-typo /blog/typo", "/blog/title-with-typo/", "301 /blog/typo"},
	{"/blog/title-with-typo/ /blog/typo", "/blog/title-with-typo", "301 /blog/typo"},
	// Splats.
	{"/news/* /blog/:splat", "/news/2004/01/10/my-story", "301 /blog/2004/01/10/my-story"},
	{"/news/* /blog/:splat", "/news/a/", "301 /blog/a/"},
	{"/news/* /blog/:splat", "/news", "301 /blog/"},
	{"/news/* /blog/:splat", "/newsletter", ""},
	{"/* /index.html 200", "/any/thing", "200 /index.html"},
	{"/* /index.html 200", "/", "200 /index.html"},
	// Placeholders.
	{"/news/:month/:date/:year/:slug /blog/:year/:month/:date/:slug", "/news/02/12/2004/my-story", "301 /blog/2004/02/12/my-story"},
	{"/news/:month/:date/:year/:slug /blog/:year/:month/:date/:slug", "/news/02/12/2004/my-story.html", "301 /blog/2004/02/12/my-story.html"},
	{"/news/:month/:date/:year/:slug /blog/:year/:month/:date/:slug", "/news/02/12/2004", ""},
	// Query parameters.
	{"/store id=:id /blog/:id 301", "/store?id=my-blog-post", "301 /blog/my-blog-post"},
	{"/store id=:id /blog/:id 301", "/store", ""},
	{"/store id=:id /blog/:id 301", "/store?id=1&other=2", ""},
	{"/store id=:id /blog/:id 301", "/store?id=", ""},
	{"/articles id=:id tag=:tag /posts/:tag/:id 301", "/articles?id=12&tag=arts", "301 /posts/arts/12"},
	{"/articles id=:id tag=:tag /posts/:tag/:id 301", "/articles?tag=arts&id=12", "301 /posts/arts/12"},
	{paths, "/path/x?param1=a", "301 /otherpath/a/x"},
	{paths, "/path/x?param2=b", "301 /otherpath/b/x"},
	{paths, "/path/x?param2=b&param1=a", "301 /otherpath/a/b/x"},
	{paths, "/path/x", "301 /otherpath/x"},
	{"/ page=news /news", "/?page=news", "301 /news"},
	{"/ page=news /news", "/?page=olds", ""},
	{"/ _escaped_fragment_=/about /about", "/?_escaped_fragment_=/about", "301 /about"},
	{"/ _escaped_fragment_=/about /about", "/?_escaped_fragment_=%2Fabout", "301 /about"},
	// The query is passed on.
	{"/a /b", "/a?x=1&y=2", "301 /b?x=1&y=2"},
	{"/a /b#c", "/a?x=1", "301 /b?x=1#c"},
	{"/a /b?own=1", "/a?x=1", "301 /b?own=1"},
	// Domains.
	{domains, "http://blog.yoursite.com/a/b", "301! https://www.yoursite.com/blog/a/b"},
	{domains, "https://blog.yoursite.com/a", "301! https://www.yoursite.com/blog/a"},
	{domains, "https://www.yoursite.com/a", ""},
	// Forced rules.
	{"/best-pets/dogs /best-pets/cats.html 200!", "/best-pets/dogs", "200! /best-pets/cats.html"},
	{"/app/* /app/index.html 200!", "/app/x", "200! /app/index.html"},
}

func TestNetlify(t *testing.T) {
	for _, test := range netlify {
		if got := decide(parse(t, test.rules), test.url); got != test.want {
			t.Errorf("%q: %s is %q, want %q", test.rules, test.url, got, test.want)
		}
	}
}

// paths is an example of Netlify's, with the rule for any query last, because here the order
// decides.
const paths = `/path/* param1=:value1 param2=:value2 /otherpath/:value1/:value2/:splat 301
/path/* param1=:value1 /otherpath/:value1/:splat 301
/path/* param2=:value2 /otherpath/:value2/:splat 301
/path/* /otherpath/:splat 301`

const domains = `http://blog.yoursite.com/* https://www.yoursite.com/blog/:splat 301!
https://blog.yoursite.com/* https://www.yoursite.com/blog/:splat 301!`

// TestCloudflare has the examples of Cloudflare Pages' documentation. A rule without a status
// is 301 here and 302 there.
func TestCloudflare(t *testing.T) {
	s := parse(t, `/home301 / 301
/home302 / 302
/querystrings /?query=string 301
/twitch https://twitch.tv
/trailing /trailing/ 301
/notrailing/ /nottrailing 301
/page/ /page2/#fragment 301
/blog/* https://blog.my.domain/:splat # Blog migration
/products/:code/:name /products?code=:code&name=:name
/movies/:title /media/:title
/a /b 200
/b /c 200
/see /other 303
/keep /method 307
/for/ever /and-ever 308
`)
	for url, want := range map[string]string{
		"/home301":              "301 /",
		"/home302":              "302 /",
		"/querystrings":         "301 /?query=string",
		"/twitch":               "301 https://twitch.tv/",
		"/trailing":             "301 /trailing/",
		"/trailing/":            "",
		"/notrailing/":          "301 /nottrailing",
		"/page/":                "301 /page2/#fragment",
		"/blog/a/b.html":        "301 https://blog.my.domain/a/b.html",
		"/products/7/green tea": "301 /products?code=7&name=green%20tea",
		"/products/7/a&b=%23":   "301 /products?code=7&name=a%26b%3D%23",
		"/movies/jaws":          "301 /media/jaws",
		"/movies/jaws/2":        "",
		"/a":                    "200 /b",
		"/b":                    "200 /c",
		"/c":                    "",
		"/see":                  "303 /other",
		"/keep":                 "307 /method",
		"/for/ever":             "308 /and-ever",
	} {
		if got := decide(s, url); got != want {
			t.Errorf("%s is %q, want %q", url, got, want)
		}
	}
}

// TestPaths checks how paths are compared, and how their parts are used.
func TestPaths(t *testing.T) {
	for _, test := range []struct{ rules, url, want string }{
		{"/a/b /x", "//a///b", "301 /x"},
		{"/a/b /x", "/a/./b", "301 /x"},
		{"/a/b /x", "/%61/b", "301 /x"},
		{"/%61/b /x", "/a/b", "301 /x"},
		{"/a/b /x", "/a/c/../b", ""},
		{"/a/b /x", "/a%2Fb", ""},
		{"/a/b /x", "/a/b%00", ""},
		{"/a/b /x", "/a/b%", ""},
		{"/* /x", "/%2e%2e/b", ""},
		{"/a%20b /x", "/a b", "301 /x"},
		{"/post-:id.html /posts/:id", "/post-7.html", "301 /posts/7"},
		{"/post-:id.html /posts/:id", "/post-.html", ""},
		{"/*.jpg /images/:splat.webp", "/a/b.jpg", "301 /images/a/b.webp"},
		{"/*.jpg /images/:splat.webp", "/a/b.png", ""},
		{"/blog/*/comments /c/:splat", "/blog/2020/x/comments", "301 /c/2020/x"},
		{"/img*.png /i/:splat", "/img-a/b.png", "301 /i/-a/b"},
		{"/:a/x /1/:a\n/y/:b /2/:b", "/y/x", "301 /1/y"},
		{"/y/:b /2/:b\n/:a/x /1/:a", "/y/x", "301 /2/x"},
		{"/a/* /:splat", "/a/%0d%0aSet-Cookie:%20x", "301 /%0D%0ASet-Cookie:%20x"},
		{"/a/* /:splat", "/a/%5cevil.com", "301 /%5Cevil.com"},
		{"/a/* /:splat", "/a//evil.com", "301 /evil.com"},
		{"/a/* /:splat", "/a/%252e%252e/x", "301 /%252e%252e/x"},
		{"/a/:x/* /:splat/:x", "/a/evil.com/", "301 /evil.com"},
		{"/go to=:to /:to", "/go?to=/evil.com", "301 /%2Fevil.com"},
		{"/go to=:to /:to", "/go?to=%0d%0aX:y", "301 /%0D%0AX:y"},
		{"/go to=:to /x?y=:to", "/go?to=a+b%26c", "301 /x?y=a%20b%26c"},
		{"https://:project.pages.dev/* /p/:project/:splat", "https://site.pages.dev/x", "301 /p/site/x"},
		{"https://:project.pages.dev/* /p/:project/:splat", "https://pages.dev/x", ""},
		{"https://:project.pages.dev/* /p/:project/:splat", "https://a.b.pages.dev/x", ""},
		{"https://:project.pages.dev/* /p/:project/:splat", "https://site.Pages.dev./x", "301 /p/site/x"},
		{"https://:project.pages.dev/* /p/:project/:splat", "https://site.pages.dev../x", ""},
	} {
		if got := decide(parse(t, test.rules), test.url); got != test.want {
			t.Errorf("%q: %s is %q, want %q", test.rules, test.url, got, test.want)
		}
	}
}

// TestRefused has texts that are refused, with the line and a part of the error.
func TestRefused(t *testing.T) {
	for _, test := range []struct{ rules, want string }{
		{"\n# x\nold /new", `_redirects:3: "old": a rule must begin with a path`},
		{"/old", "_redirects:1: it has no target"},
		{"/old 301", "_redirects:1: it has no target"},
		{"/admin/* 200! Role=admin", "_redirects:1: it has no target"},
		{"/old new", "a target must be a path"},
		{"/old mailto:a@b", "a target must be a path"},
		{"/old javascript://x", "a target must be a path"},
		{"/old //evil.com/", "leads to another host"},
		{`/old /\evil.com/`, "leads to another host"},
		{`/old /a\b`, `"\\" is not allowed in a target`},
		{"/old /new\x01", "is not allowed in a target"},
		{"/* https://:splat", "placeholders are not allowed there"},
		{"/:x/* https://:x.example.org/", "placeholders are not allowed there"},
		{"/* https://example.org:splat", "placeholders are not allowed there"},
		{"/* https://user@example.org/", "is not a valid host"},
		{"/* https:///x", "is not a valid host"},
		{"/* /x/*", `write :splat for what * matched`},
		{"/a /:b", "no placeholder :b in FROM"},
		{"/a /b 300", "the status must be 200"},
		{"/a /b 200!!", "the status must be 200"},
		{"/a /b 302 Country=au", "cannot depend on country"},
		{"/a /b Language=de", "cannot depend on country"},
		{"/a /b 301 extra", "unexpected text"},
		{"/api/* https://api.example.org/:splat 200", "never from another host"},
		{"/a https://example.org/404 404", "never from another host"},
		{"/a https://example.org/404 410", "never from another host"},
		{"/a?b=c /x", "write query parameters after the path"},
		{"/a#b /x", "browsers do not send what follows #"},
		{"/a/../b /x", "requests never have .."},
		{"/a%zz /x", "must be followed by two hexadecimal digits"},
		{"/a%2fb /x", "not encode a slash"},
		{"/a /b%zz", "must be followed by two hexadecimal digits"},
		{"/a/*/*/b /x", "only one *"},
		{"/:a-:b /x", "only one placeholder"},
		{"/:a/:a /x", "the placeholder :a appears twice"},
		{"/a/*/:b /x", "no placeholder can follow *"},
		{"/a x=1 x=2 /b", `the parameter "x" appears twice`},
		{"/a x=:y-z /b", "the whole value"},
		{"ftp://example.org/ /x", "only http:// and https://"},
		{"http://example.org:80/ /x", "leave the port out"},
		{"http://*.example.org/ /x", "is not a valid host"},
		{"/a /b\n/b /a", "_redirects:1: these redirects never end: /a → /b → /a"},
		{"/a /b\n/b /c 302\n/c /a?x=1 308", "/a → /b → /c → /a"},
		{"/docs/* /docs/new/:splat 301!", "these redirects never end"},
		{"/a/* /b/x/:splat\n/b/* /a/y/:splat", "_redirects:1: these redirects never end: /a/sample → /b/x/sample → /a/y/x/sample → …"},
		{"/old/* /a/:splat\n/a/* /b/x/:splat\n/b/* /a/:splat 302", "these redirects never end: /old/sample → /a/sample → /b/x/sample → …"},
		{"/* /" + strings.Repeat(":splat/", 70), "more than 64 pieces"},
		{"/" + strings.Repeat("x", 5000) + " /y", "longer than 4000 bytes"},
	} {
		_, err := rules.Parse(rules.Text{Name: "_redirects", Bytes: []byte(test.rules)})
		if err == nil || !strings.HasPrefix(err.Error(), "_redirects:") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q is refused with %v, want %q", test.rules, err, test.want)
		}
	}
}

// TestRefusedAtOnce has texts with several errors, each of which is reported once.
func TestRefusedAtOnce(t *testing.T) {
	many := rules.Text{Name: "_redirects", Bytes: []byte(strings.Repeat("/a\n", 99))}
	for _, test := range []struct {
		texts []rules.Text
		want  []string
	}{
		{[]rules.Text{
			{Name: "_redirects", Bytes: []byte("/a\n/b /c\n/d /e 300\n/c /b\n")},
			{Name: "_headers", Kind: rules.Headers, Bytes: []byte("/a b\n  X: y\n/c\n  X\n/d\n/e\n  Date: x\n  Age: 5\n/f\n")},
		}, []string{"_redirects:1", "_redirects:3", "_headers:1", "_headers:4", "_headers:5", "_headers:7", "_headers:8", "_headers:9"}},
		{[]rules.Text{many}, []string{"_redirects:1", "_redirects:2", "_redirects:3", "_redirects:4", "_redirects:5", "_redirects:6", "_redirects:7", "_redirects:8", "_redirects:9", "_redirects:10", "_redirects"}},
	} {
		_, err := rules.Parse(test.texts...)
		if err == nil {
			t.Fatal("the rules are not refused")
		}
		var got []string
		for line := range strings.SplitSeq(err.Error(), "\n") {
			at, _, _ := strings.Cut(line, ": ")
			got = append(got, at)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s\nhas the lines %q, want %q", err, got, test.want)
		}
	}
}

// TestNoLoops has texts that look like loops but are none.
func TestNoLoops(t *testing.T) {
	for _, test := range []struct{ rules, url, want string }{
		{"/* /index.html 302", "/index.html", ""},
		{"/* /login 302!", "/login", ""},
		{"/* /login 302!", "/login?x=1", ""},
		{"/* https://www.example.org/:splat 301!", "http://www.example.org/a", "301! https://www.example.org/a"},
		{"/* https://www.example.org/:splat 301!", "http://example.org/a", "301! https://www.example.org/a"},
		{"/* https://www.example.org/:splat 301!", "https://www.example.org/a", ""},
		{"/* https://www.example.org/:splat 301!", "https://www.example.org:8443/a", ""},
		{"/* https://www.example.org:8443/:splat 301!", "https://www.example.org:8443/a", ""},
		{"/* https://www.example.org:8443/:splat 301!", "https://www.example.org/a", "301! https://www.example.org:8443/a"},
		{"/* https://www.example.org:443/:splat 301!", "https://www.example.org/a", ""},
		{"/* http://www.example.org:80/:splat 301!", "http://www.example.org/a", ""},
		{"/* http://[::1]:8080/:splat 301!", "http://www.example.org:8080/a", "301! http://[::1]:8080/a"},
	} {
		if got := decide(parse(t, test.rules), test.url); got != test.want {
			t.Errorf("%q: %s is %q, want %q", test.rules, test.url, got, test.want)
		}
	}
	var m rules.Match
	s := parse(t, "/docs/* /docs/latest/:splat 302\n/a/* /b/:splat\n/b/* /docs/:splat")
	for path, want := range map[string]bool{"/docs/x": true, "/a/x": false} {
		if !s.Find(&m, rules.Request{Path: []byte(path)}) || m.Grows() != want {
			t.Errorf("%s grows: %v", path, m.Grows())
		}
	}
}

// TestOrderOfTexts checks that options come before files, and that errors name them.
func TestOrderOfTexts(t *testing.T) {
	option := rules.Text{Name: "--redirect '/a /option'", Bytes: []byte("/a /option"), Option: true}
	file := rules.Text{Name: "_redirects", Bytes: []byte("\ufeff# x\r\n/a /file\r\n/b /file 302\r\n")}
	s, err := rules.Parse(option, file)
	if err != nil {
		t.Fatal(err)
	}
	var m rules.Match
	for path, want := range map[string]string{"/a": "--redirect '/a /option'", "/b": "_redirects:3"} {
		if !s.Find(&m, rules.Request{Path: []byte(path)}) || m.Position().String() != want {
			t.Errorf("%s: %v, want %s", path, m.Position(), want)
		}
	}
	option.Bytes = []byte("/a")
	if _, err := rules.Parse(option); err == nil || !strings.HasPrefix(err.Error(), "--redirect '/a /option': it has no target") {
		t.Error(err)
	}
	if s, err := rules.Parse(rules.Text{Name: "_redirects", Bytes: []byte("# none\n")}); s != nil || err != nil || s.Redirects() {
		t.Error(s, err)
	}
}
