package explain

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// fixed is the time of the replies, changed that of most files.
var (
	fixed   = time.Date(2024, 5, 6, 12, 0, 0, 0, time.UTC)
	changed = time.Date(2024, 5, 1, 8, 30, 0, 123456789, time.UTC)
)

// plant creates the tree of the cases: "a/" is a directory, "a -> b" a symbolic link, "a|" a
// FIFO, "a: text" a file.
func plant(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, line := range []string{
		"index.html: <h1>home</h1>", "a b.txt: 0123456789", "app.js: let a = 1", "app.js.br: br", "app.js.gz: gz", "old.css: a{}", "old.css.gz: stale",
		"zero.txt: ", "logo.svgz: gz", "pic.png: png", "README: read me", "data.strange: ?", "young.txt: young", "future.txt: future", "built.txt: built",
		".git/", ".git/config: secret", ".well-known/", ".well-known/id: id",
		"docs/", "docs/index.html: docs", "empty/", "empty/x: x", "assets/", "assets/logo.svg: <svg/>",
		"link.txt -> a b.txt", "out.txt -> /etc/hostname", "up -> ../..", "loop -> loop",
		"ä.txt: umlaut", "app.html: the app", "404.html: our own", "fifo|", "about.html: about",
		"_redirects: # moved\n/old/* /new/:splat 302\n/alias /app.js 200\n/gone /about 404\n/removed /none 410\n",
		"_headers: /*\n  X-Robots-Tag: noindex\n  ! X-Content-Type-Options\n/app.js\n  X-Robots-Tag: nofollow\n  Cache-Control: no-store\n  Vary: Origin\n",
	} {
		name, target, link := strings.Cut(line, " -> ")
		path := filepath.Join(dir, name)
		var err error
		switch {
		case link:
			err = os.Symlink(target, path)
		case strings.HasSuffix(line, "|"):
			err = syscall.Mkfifo(strings.TrimSuffix(path, "|"), 0o644)
		case strings.HasSuffix(line, "/"):
			err = os.Mkdir(path, 0o755)
		default:
			name, text, _ := strings.Cut(line, ": ")
			path = filepath.Join(dir, name)
			if err = os.WriteFile(path, []byte(text), 0o644); err == nil {
				when := map[string]time.Time{"young.txt": fixed, "future.txt": fixed.Add(time.Hour), "built.txt": time.Unix(1, 0), "old.css.gz": changed.Add(-time.Minute)}[name]
				if when.IsZero() {
					when = changed
				}
				err = os.Chtimes(path, when, when)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens the directory as a worker does, with the defaults except for what change
// changes.
func open(t testing.TB, dir string, change func(*site.Policy, *conn.Config)) (conn.Config, *site.Root) {
	t.Helper()
	policy := site.Policy{Index: []string{"index.html"}}
	cfg := conn.Config{Server: "phalanx/test", KeepAlive: 30 * time.Second, Expires: 12 * time.Hour}
	if change != nil {
		change(&policy, &cfg)
	}
	root, err := site.Open(dir, policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	if err := root.ReadRules(nil); err != nil {
		t.Fatal(err)
	}
	cfg.Site = website.Uncached(root)
	return cfg, root
}

// kase is a request and, if it needs one, a configuration.
type kase struct {
	name   string
	method string // empty: GET
	url    string
	fields []string
	change func(*site.Policy, *conn.Config)
	old    bool // by HTTP/1.0
	secure bool // by HTTPS, whatever the URL says
}

const tag = `"17cb502455391d15-a"` // of "a b.txt"

var (
	listing = func(p *site.Policy, c *conn.Config) { p.List, c.List = true, true }
	archive = func(p *site.Policy, c *conn.Config) { p.Archive, c.Archive = true, site.ArchiveFormat }
	cached  = func(p *site.Policy, c *conn.Config) {
		p.Cache = []site.Rule{{Pattern: "assets/**", Value: "max-age=31536000, immutable"}, {Pattern: "*.js", Value: "no-cache"}}
	}
	owner  = func(p *site.Policy, c *conn.Config) { p.Rules, p.Clean = true, true }
	prefix = func(p *site.Policy, c *conn.Config) { c.Prefix = "/sub" }
	serial = func(p *site.Policy, c *conn.Config) { c.Single = true }
	spa    = func(p *site.Policy, c *conn.Config) { p.Fallback, c.Fallback = "app.html", true }
	cors   = func(p *site.Policy, c *conn.Config) { c.CORS = true }
	header = func(p *site.Policy, c *conn.Config) {
		c.Header = []string{"Link: </a>; rel=preload", "X-Frame-Options: DENY", "link: </b>; rel=preload", "X-Content-Type-Options: mine"}
	}
	locked = func(p *site.Policy, c *conn.Config) {
		p.Areas = []site.Area{{Pattern: "docs/**"}, {Pattern: "app.js", Realm: 1}, {Pattern: "docs"}}
		p.List, c.List = true, true
		c.Passwords = asked{}
	}
	https = func(p *site.Policy, c *conn.Config) { c.SecurePort, c.HSTS = 8443, time.Hour }
	ids   = func(p *site.Policy, c *conn.Config) {
		c.ID = func(dst []byte) []byte { return append(dst, "made-1"...) }
	}
)

// asked accepts any credentials.
type asked struct{}

func (asked) Check(int, []byte, netip.Addr) (proto.Status, time.Duration, conn.Check) {
	return proto.StatusOK, 0, nil
}

func (asked) Realm(n int) string { return []string{"docs/**", "app.js"}[n] }

var cases = []kase{
	{name: "the index", url: "/"},
	{name: "a space", url: "/a b.txt"},
	{name: "an absolute URL, a query and a fragment", url: "http://example.org:81/a%20b.txt?q=1#top"},
	{name: "beyond ASCII", url: "/ä.txt"},
	{name: "a coding that lies ready", url: "/app.js", fields: []string{"Accept-Encoding: gzip, br"}},
	{name: "only a coding that does not lie ready", url: "/app.js", fields: []string{"Accept-Encoding: zstd"}},
	{name: "an older coding", url: "/old.css", fields: []string{"Accept-Encoding: gzip"}},
	{name: "codings that are not wanted", url: "/app.js", fields: []string{"Accept-Encoding: br;q=0, deflate"}},
	{name: "not worth a coding", url: "/pic.png", fields: []string{"Accept-Encoding: br"}},
	{name: "no extension", url: "/README"},
	{name: "an unknown extension", url: "/data.strange"},
	{name: "a file that is compressed by its nature", url: "/logo.svgz"},
	{name: "an empty file", url: "/zero.txt"},
	{name: "a range of an empty file", url: "/zero.txt", fields: []string{"Range: bytes=0-1048575"}},
	{name: "a young file", url: "/young.txt", fields: []string{`If-None-Match: "a"`}},
	{name: "a file of the future", url: "/future.txt"},
	{name: "a file whose time says nothing", url: "/built.txt", fields: []string{"If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT"}},
	{name: "HEAD", method: "HEAD", url: "/a%20b.txt", fields: []string{"Range: bytes=0-1"}},
	{name: "a directory without its slash", url: "/docs?q=1"},
	{name: "a directory with an index", url: "/docs/"},
	{name: "a directory without an index", url: "/empty/"},
	{name: "a type that was given", url: "/README", change: func(p *site.Policy, _ *conn.Config) {
		p.Types = []site.Rule{{Pattern: "*.html", Value: "a/b"}, {Pattern: "README", Value: "text/plain; charset=utf-8"}}
	}},
	{name: "a list", url: "/empty/", change: listing},
	{name: "a list as JSON", url: "/empty/?format=json", change: listing},
	{name: "HEAD of an archive", method: "HEAD", url: "/docs/?archive=zip", change: archive},
	{name: "a hidden name", url: "/.git/config"},
	{name: "a well-known name", url: "/.well-known/id"},
	{name: "dots", url: "/docs/../a"},
	{name: "an encoded slash", url: "/docs%2findex.html"},
	{name: "a percent without digits", url: "/100%"},
	{name: "a NUL", url: "/a%00b"},
	{name: "a FIFO", url: "/fifo"},
	{name: "a FIFO, where directories are listed", url: "/fifo", change: listing},
	{name: "below a file", url: "/a%20b.txt/c"},
	{name: "a link that stays", url: "/link.txt"},
	{name: "an absolute link", url: "/out.txt"},
	{name: "a link that leads up", url: "/up/x"},
	{name: "a link that leads up further than links may", url: "/up/x", change: func(p *site.Policy, _ *conn.Config) { p.Symlinks = site.LinksBeneath }},
	{name: "a link, where none is followed", url: "/link.txt", change: func(p *site.Policy, _ *conn.Config) { p.Symlinks = site.LinksNone }},
	{name: "a link to itself", url: "/loop"},
	{name: "nothing there", url: "/nope.html"},
	{name: "HEAD of nothing", method: "HEAD", url: "/nope.html"},
	{name: "nothing there, of a single page", url: "/route/7", change: spa},
	{name: "a script that is missing, with --spa", url: "/missing.js", change: spa},
	{name: "data that is missing, with --spa", url: "/api/users", fields: []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, change: spa},
	{name: "a page by its clean path", url: "/about", change: owner},
	{name: "a page by its file", url: "/about.html?x=1", change: owner},
	{name: "the file of rules", url: "/_redirects", change: owner},
	{name: "a redirect of the owner", url: "/old/a?x=1", change: owner},
	{name: "a rewrite of the owner", url: "/alias", change: owner},
	{name: "a 404 of the owner", url: "/gone", change: owner},
	{name: "a 410 of the owner", url: "/removed", change: owner},
	{name: "header fields of the owner", url: "/app.js", change: owner},
	{name: "outside the prefix", url: "/app.js", change: prefix},
	{name: "inside the prefix", url: "/sub/app.js", change: prefix},
	{name: "a cache rule with a slash", url: "/assets/logo.svg", change: cached},
	{name: "the second cache rule", url: "/app.js", change: cached},
	{name: "no cache rule", url: "/", change: cached},
	{name: "If-None-Match that matches", url: "/a%20b.txt", fields: []string{"If-None-Match: \"x\", W/" + tag, "If-Modified-Since: Wed, 01 May 2024 08:30:00 GMT"}},
	{name: "If-None-Match that does not", url: "/a%20b.txt", fields: []string{`If-None-Match: "x"`}},
	{name: "If-Modified-Since", url: "/a%20b.txt", fields: []string{"If-Modified-Since: Wed, 01 May 2024 08:30:00 GMT"}},
	{name: "If-Modified-Since, earlier", url: "/a%20b.txt", fields: []string{"If-Modified-Since: Wed, 01 May 2023 08:30:00 GMT"}},
	{name: "If-Modified-Since of the future", url: "/a%20b.txt", fields: []string{"If-Modified-Since: Wed, 01 May 2030 08:30:00 GMT"}},
	{name: "If-Match that does not match", url: "/a%20b.txt", fields: []string{`If-Match: "x"`, `If-None-Match: "x"`}},
	{name: "If-Unmodified-Since, malformed and earlier", url: "/a%20b.txt", fields: []string{"If-Match: *", "If-Unmodified-Since: yesterday"}},
	{name: "If-Unmodified-Since that is false", url: "/a%20b.txt", fields: []string{"If-Unmodified-Since: Wed, 01 May 2023 08:30:00 GMT"}},
	{name: "dates that are none", url: "/a%20b.txt", fields: []string{"If-Unmodified-Since: yesterday", "If-Modified-Since: today"}},
	{name: "a range", url: "/a%20b.txt", fields: []string{"Range: bytes=2-4"}},
	{name: "several ranges", url: "/a%20b.txt", fields: []string{"Range: bytes=0-1,-2"}},
	{name: "a range outside", url: "/a%20b.txt", fields: []string{"Range: bytes=10-"}},
	{name: "another unit", url: "/a%20b.txt", fields: []string{"Range: lines=1-2"}},
	{name: "a malformed range", url: "/a%20b.txt", fields: []string{"Range: bytes=4-2"}},
	{name: "If-Range that fits", url: "/a%20b.txt", fields: []string{"Range: bytes=2-4", "If-Range: " + tag}},
	{name: "If-Range that does not", url: "/a%20b.txt", fields: []string{"Range: bytes=2-4", `If-Range: "x"`}},
	{name: "OPTIONS", method: "OPTIONS", url: "*"},
	{name: "a preflight", method: "OPTIONS", url: "/", fields: []string{"Origin: http://example.org"}, change: cors},
	{name: "CORS", url: "/", change: cors},
	{name: "own fields", url: "/", change: header},
	{name: "the serial model", url: "/", change: serial},
	{name: "the client closes", url: "/", fields: []string{"Connection: close"}},
	{name: "an id of the client", url: "/", fields: []string{"X-Request-Id: mine"}, change: ids},
	{name: "an id of the server", url: "/", change: ids},
	{name: "HTTP/1.0", url: "/", old: true},
	{name: "HTTP/1.0 that keeps the connection", url: "/", fields: []string{"Connection: keep-alive"}, old: true},
	{name: "a list by HTTP/1.0", url: "/empty/", fields: []string{"Connection: keep-alive"}, old: true, change: listing},
	{name: "POST", method: "POST", url: "/", fields: []string{"Content-Length: 5"}},
	{name: "an unknown method", method: "BREW", url: "/"},
	{name: "a body", url: "/", fields: []string{"Content-Length: 100000", "Expect: 100-continue"}},
	{name: "a chunked body", url: "/", fields: []string{"Transfer-Encoding: chunked"}},
	{name: "a body that is too long", url: "/", fields: []string{"Content-Length: 9999999"}},
	{name: "a field name with a space", url: "/", fields: []string{"X Y: z"}},
	{name: "a control character and a change of direction", url: "/\u202eabc", fields: []string{"X: a\x1b[31m"}},
	{name: "an absurd Host", url: "/", fields: []string{"Host: a/b"}},
	{name: "by HTTP beside HTTPS", url: "http://example.org/a%20b.txt?q=1", change: https},
	{name: "POST by HTTP beside HTTPS", method: "POST", url: "http://example.org/", change: https},
	{name: "by HTTPS", url: "https://example.org/", change: https},
	{name: "a long request line", url: "/" + strings.Repeat("a", 9000)},
	{name: "a path that needs credentials", url: "/docs/none", change: locked},
	{name: "a path with credentials", url: "/docs/", fields: []string{"Authorization: Basic YW5uOnJpZ2h0"}, change: locked},
	{name: "a sidecar that needs credentials", url: "/app.js.gz", change: locked},
	{name: "a directory that needs credentials for some of it", url: "/empty/?format=json", fields: []string{"Authorization: Basic YW5uOnJpZ2h0"}, change: func(p *site.Policy, c *conn.Config) {
		locked(p, c)
		p.Areas = []site.Area{{Pattern: "empty"}}
	}},
}

// asking returns a request with the fields.
func asking(t testing.TB, method, url string, fields ...string) Request {
	t.Helper()
	r, err := NewRequest(method, url, fields)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reportOf explains a request at the time.
func reportOf(t testing.TB, cfg conn.Config, roots []*site.Root, r Request, at time.Time) Report {
	t.Helper()
	report, err := Run(cfg, roots, r, at)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// report explains the case at the time.
func (k kase) report(t testing.TB, dir string, now time.Time) Report {
	t.Helper()
	report, err := k.run(t, dir, now)
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	return report
}

func (k kase) run(t testing.TB, dir string, now time.Time) (Report, error) {
	t.Helper()
	cfg, root := open(t, dir, k.change)
	r := asking(t, k.method, k.url, k.fields...)
	if k.old {
		r.Version = "HTTP/1.0"
	}
	if k.secure {
		r.Scheme = "https"
	}
	return Run(cfg, []*site.Root{root}, r, now)
}
