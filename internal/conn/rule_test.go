package conn

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// ruledConfig returns the configuration of a site with rules.
func ruledConfig(t *testing.T, redirects, headers string) *Config {
	t.Helper()
	cfg := newConfig()
	set, err := rules.Parse(rules.Text{Name: "_redirects", Bytes: []byte(redirects)}, rules.Text{Kind: rules.Headers, Name: "_headers", Bytes: []byte(headers)})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Site.(*fakeSite).rules = set
	return cfg
}

// answerTo returns the whole response to a request.
func answerTo(cfg *Config, raw string) string {
	now := Now{Mono: time.Second, Second: cfg.NewSecond(unixNow)}
	c := New(cfg, nil, now)
	c.Receive([]byte(raw), now)
	var whole []byte
	for {
		out, step := c.Next(nil, now)
		whole = append(whole, out...)
		if step != Send {
			c.Leave()
			return string(whole)
		}
		part := c.Segment()
		whole = append(whole, part.File.Body()[part.Off:part.Off+part.Len]...)
		c.Sent(part.Len, now)
	}
}

// TestRules checks when rules decide, and what they do to the response.
func TestRules(t *testing.T) {
	const redirects = "/a /nowhere 302\n/old /a 308\n/gone /b 404\n/removed /a 410\n/void/* /nothing 410\n/alias /a 200\n/lost /nothing 200\n/deep/* /deep/new/:splat 302\n" +
		"/forced /a 301!\n/away https://example.org/x 303\n/tmp /a 307\n/go to=:to /:to"
	const headers = "/*\n  X-All: yes\n/a\n  Cache-Control: no-store\n/alias\n  X-Alias: :splat\n/nope\n  Cache-Control: immutable\n"
	for _, test := range []struct {
		raw  string
		want []string // lines; one behind "-" is missing
	}{
		{get("/a"), []string{"HTTP/1.1 200 OK", "X-All: yes", "Cache-Control: no-store", "-Expires: "}},
		{get("/old?x=1"), []string{"HTTP/1.1 308 Permanent Redirect", "Location: /a?x=1", "-X-All"}},
		{get("/tmp"), []string{"HTTP/1.1 307 Temporary Redirect", "Location: /a"}},
		{get("/away"), []string{"HTTP/1.1 303 See Other", "Location: https://example.org/x"}},
		{get("/forced"), []string{"HTTP/1.1 301 Moved Permanently", "Location: /a"}},
		{get("/gone"), []string{"HTTP/1.1 404 Not Found", "X-All: yes", "-Location"}},
		{get("/removed"), []string{"HTTP/1.1 410 Gone", "X-All: yes", "Content-Length: 10\r\n", "-Location"}},
		{get("/void/x"), []string{"HTTP/1.1 410 Gone", "X-All: yes", "has been removed"}},
		{get("/alias"), []string{"HTTP/1.1 200 OK", "ETag: ", "X-Alias: :splat", "X-All: yes", "-no-store"}},
		{get("/alias", "If-None-Match: "+tag(10)), []string{"HTTP/1.1 304 Not Modified", "X-All: yes"}},
		{get("/alias", "Range: bytes=1-2"), []string{"HTTP/1.1 206 Partial Content", "X-All: yes", "Content-Length: 2"}},
		{get("/a", "Range: bytes=1-2,4-5"), []string{"HTTP/1.1 206 Partial Content", "X-All: yes", "multipart/byteranges"}},
		{request("HEAD", "/alias"), []string{"HTTP/1.1 200 OK", "Content-Length: 10"}},
		{get("/lost"), []string{"HTTP/1.1 404 Not Found"}},
		{get("/nope"), []string{"HTTP/1.1 404 Not Found", "X-All: yes", "-immutable"}},
		{get("/deep/x"), []string{"HTTP/1.1 404 Not Found", "-Location"}},
		{get("/go?to=//evil.com/%0d%0aX:y"), []string{"Location: /%2F%2Fevil.com%2F%0D%0AX:y", "-\nX:y"}},
		{request("POST", "/old"), []string{"HTTP/1.1 405 ", "X-All: yes", "-Location"}},
		{request("OPTIONS", "/old"), []string{"HTTP/1.1 204 ", "X-All: yes"}},
		{"GET / HTTP/9.9\r\n\r\n", []string{"HTTP/1.1 505 ", "-X-All"}},
	} {
		got := answerTo(ruledConfig(t, redirects, headers), test.raw)
		for _, want := range test.want {
			missing, negative := strings.CutPrefix(want, "-")
			if strings.Contains(got, missing) == negative {
				t.Errorf("%q lacks or has %q:\n%s", test.raw, want, got)
			}
		}
	}
}

// TestRuledParts checks that each part of a response with several ranges has the media type that a rule
// gives the file, and that the length is right.
func TestRuledParts(t *testing.T) {
	for headers, want := range map[string]string{
		"/a\n  X-All: yes\n":                              "\r\nContent-Type: text/plain\r\nContent-Range: ",
		"/a\n  Content-Type: text/x-own; charset=utf-8\n": "\r\nContent-Type: text/x-own; charset=utf-8\r\nContent-Range: ",
		"/a\n  ! Content-Type\n":                          "\r\nContent-Range: ",
	} {
		got := answerTo(ruledConfig(t, "", headers), get("/a", "Range: bytes=1-2,4-5"))
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		types := strings.Count(want, "Content-Type") * 2
		if strings.Count(body, want) != 2 || strings.Count(body, "Content-Type: ") != types || strings.Count(head, "Content-Type: multipart/byteranges; ") != 1 {
			t.Errorf("%q: want parts with %q:\n%s", headers, want, got)
		}
		if length := fmt.Sprintf("\r\nContent-Length: %d", len(body)); !strings.Contains(head, length) {
			t.Errorf("%q: want %q:\n%s", headers, length, got)
		}
	}
}

// TestRuledPageIsNotCoded checks that a rule's error page is sent as it is, like the site's own
// pages, even if there is a compressed form of it: its response names no content coding.
func TestRuledPageIsNotCoded(t *testing.T) {
	cfg := ruledConfig(t, "/lost /a 404\n/removed /a 410\n/alias /a 200", "")
	cfg.Site = codedSite{cfg.Site.(*fakeSite)}
	for path, want := range map[string][2]string{"/lost": {"404", "0123456789"}, "/removed": {"410", "0123456789"}, "/alias": {"200", "gzip"}} {
		got := answerTo(cfg, get(path, "Accept-Encoding: gzip"))
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if coded := strings.Contains(got, "\r\nContent-Encoding: gzip\r\n"); !strings.HasPrefix(got, "HTTP/1.1 "+want[0]) || body != want[1] || coded != (body == "gzip") {
			t.Errorf("%s:\n%s", path, got)
		}
	}
}

// codedSite has a compressed form of /a.
type codedSite struct{ *fakeSite }

func (s codedSite) Open(path []byte, codings proto.Codings, access *proto.Access) (File, proto.Status) {
	if string(path) == "/a" && len(codings.List()) > 0 {
		path = []byte("/a.gz")
	}
	return s.fakeSite.Open(path, codings, access)
}

// TestForcedRules checks that a forced rule decides although there is a file, and before
// anything else that the path could be.
func TestForcedRules(t *testing.T) {
	cfg := ruledConfig(t, "/b /c 302\n/a /b 302!", "")
	if got := answerTo(cfg, get("/a")); !strings.Contains(got, "Location: /b\r\n") {
		t.Error(got)
	}
	if opened := cfg.Site.(*fakeSite).opened; len(opened) > 0 {
		t.Errorf("opened %q", opened)
	}
}

// TestRulesOfOneExchange checks that an exchange ends with the rules that it began with.
func TestRulesOfOneExchange(t *testing.T) {
	cfg := ruledConfig(t, "/old /a 200", "/*\n  X-All: yes\n")
	cfg.Site = &changingSite{fakeSite: cfg.Site.(*fakeSite)}
	if got := answerTo(cfg, get("/old")); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "X-All: yes\r\n") {
		t.Error(got)
	}
}

// changingSite returns its rules once.
type changingSite struct{ *fakeSite }

func (s *changingSite) Rules() *rules.Set {
	set := s.rules
	s.rules = nil
	return set
}

// TestRuleAgainstSlash checks that no rule takes the slash from the path of a directory, or leads away from
// a clean URL to another path of its file: the site would redirect the client back, without end. Elsewhere
// it may.
func TestRuleAgainstSlash(t *testing.T) {
	for _, test := range []struct{ rule, path, want string }{
		{"/dir/ /dir", "/dir/", "403 Forbidden"},
		{"/dir/ /dir 301!", "/dir/", "403 Forbidden"},
		{"/dir/ /dir 301!", "/dir", "301 Moved Permanently"}, // to /dir/, by the site
		{"/a /a/ 301!", "/a", "200 OK"},
		{"/a /a/ 301!", "/a/", "308 Permanent Redirect"}, // to /a, by the site
		{"/a /a.html 301!", "/a", "200 OK"},
		{"/a /a.html#top 301!", "/a", "200 OK"},
		{"/a /a.html 301!", "/a.html", "308 Permanent Redirect"}, // to /a, by the site
		{"/dir/ /dir/index.html 301!", "/dir/", "403 Forbidden"},
		{"/b /b.html 301!", "/b", "301 Moved Permanently"}, // the site has no clean URLs
		{"/none/ /none", "/none/", "301 Moved Permanently"},
		{"/none/ /none 302!", "/none/", "302 Found"},
		{"/none /none/ 302!", "/none", "302 Found"},
	} {
		cfg := ruledConfig(t, test.rule, "")
		site := cfg.Site.(*fakeSite)
		site.status["/dir/"], site.status["/a/"] = proto.StatusForbidden, proto.StatusPermanentRedirect
		site.status["/a.html"], site.status["/dir/index.html"] = proto.StatusPermanentRedirect, proto.StatusPermanentRedirect
		site.files["/b"], site.files["/b.html"] = site.files["/a"], site.files["/a"]
		if got := answerTo(cfg, get(test.path)); !strings.HasPrefix(got, "HTTP/1.1 "+test.want+"\r\n") {
			t.Errorf("%q: %s gets\n%s\nwant %s", test.rule, test.path, got, test.want)
		}
	}
}

// TestGrowingRule checks that a rule that matches its own target ends at a file that exists.
func TestGrowingRule(t *testing.T) {
	cfg := ruledConfig(t, "/docs/* /docs/new/:splat", "")
	site := cfg.Site.(*fakeSite)
	site.files["/docs/new/x"] = site.files["/a"]
	if got := answerTo(cfg, get("/docs/x")); !strings.Contains(got, "Location: /docs/new/x\r\n") {
		t.Error(got)
	}
	if got := answerTo(cfg, get("/docs/y")); strings.Contains(got, "Location") {
		t.Error(got)
	}
	if site.open != 0 {
		t.Errorf("%d files are open", site.open)
	}
}

// TestPrefix checks that everything is below the prefix, and nothing outside it.
func TestPrefix(t *testing.T) {
	cfg := ruledConfig(t, "/old /a\n/away https://example.org/", "/a\n  X-A: b\n")
	cfg.Prefix = "/sub"
	for path, want := range map[string]string{
		"/sub/a":               "200 OK\r\n",
		"/sub/old":             "Location: /sub/a\r\n",
		"/sub/away":            "Location: https://example.org/\r\n",
		"/sub":                 "Location: /sub/\r\n",
		"/sub?x":               "Location: /sub/?x\r\n",
		"/subx/a":              "404 Not Found",
		"/a":                   "404 Not Found",
		"/":                    "404 Not Found",
		"//sub/a":              "404 Not Found",
		"/%73ub/a":             "404 Not Found",
		"/sub/../a":            "404 Not Found",
		"http://h/sub/a":       "200 OK\r\n",
		"http://h":             "404 Not Found",
		"/sub/nothing/is/here": "404 Not Found",
	} {
		if got := answerTo(cfg, get(path)); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q:\n%s", path, want, got)
		}
	}
	cfg.Site.(*fakeSite).page = "/a"
	for path, want := range map[string]bool{"/sub/nothing": true, "/nothing": false, "/subx": false} {
		if got := answerTo(cfg, get(path)); strings.HasSuffix(got, "0123456789") != want {
			t.Errorf("%s has the site's own page: %v\n%s", path, !want, got)
		}
	}
	if got := answerTo(cfg, get("/sub/a")); !strings.Contains(got, "X-A: b\r\n") {
		t.Error(got)
	}
}

// TestPrefixOfOwnHost checks that a target with the site's own host is compared with the URL of the
// request, which has the prefix.
func TestPrefixOfOwnHost(t *testing.T) {
	cfg := ruledConfig(t, "/same http://a/sub/same\n/out http://a/out\n/near http://a/subx/near\n/* http://a/sub 301!", "")
	cfg.Prefix = "/sub"
	for path, want := range map[string]string{
		"/sub/same": "Location: http://a/sub\r\n",
		"/sub/out":  "Location: http://a/out\r\n",
		"/sub/near": "Location: http://a/subx/near\r\n",
		"/sub/":     "200 OK\r\n",
	} {
		if got := answerTo(cfg, get(path)); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q:\n%s", path, want, got)
		}
	}
}

func TestCleaned(t *testing.T) {
	for path, want := range map[string]string{"/a.html": "/a", "/a/": "/a", "/a/index.html": "/a/", "/index.html": "/", "/a//": "/a", "/a/.": "/a", "/a/%2e/": "/a", "/a/./%2E//": "/a"} {
		if got := string(cleaned([]byte(path))); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	cfg := newConfig()
	cfg.Site.(*fakeSite).status["/p.html"] = proto.StatusPermanentRedirect
	if got := answerTo(cfg, get("/p.html?q")); !strings.HasPrefix(got, "HTTP/1.1 308 ") || !strings.Contains(got, "Location: /p?q\r\n") {
		t.Error(got)
	}
}

// TestRulesAllocateNothing covers responses that rules change, and others.
func TestRulesAllocateNothing(t *testing.T) {
	for _, path := range []string{"/a", "/old", "/alias", "/nope"} {
		cfg := ruledConfig(t, "/old /a\n/alias /a 200\n/x /y 301!", "/*\n  X-A: b\n  ! X-Content-Type-Options\n/:p\n  X-A: :p\n")
		cfg.Site.(*fakeSite).silent = true
		now := Now{Mono: time.Second, Second: cfg.NewSecond(unixNow)}
		c := New(cfg, nil, now)
		in, out := []byte(get(path)), make([]byte, 0, 64<<10)
		if n := testing.AllocsPerRun(100, func() { cycle(&c, in, out, now) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}
