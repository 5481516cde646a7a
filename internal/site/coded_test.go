package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// accepting returns what a client with an Accept-Encoding value accepts.
func accepting(t testing.TB, value string) proto.Codings {
	t.Helper()
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " + value + "\r\n\r\n")
	var p proto.Parser
	if p.Parse(head) != proto.Complete {
		t.Fatal(p.Fault())
	}
	return proto.AcceptCodings(p.Request(), head)
}

// plantCoded creates files, some with sidecars.
func plantCoded(t *testing.T) string {
	dir := t.TempDir()
	plant(t, t.TempDir(), "secret.br: "+secret)
	plant(t, dir, "all.js: identity", "all.js.br: br", "all.js.zst: zstd", "all.js.gz: gzip", "gz.css: identity", "gz.css.gz: gzip",
		"stale.js: identity", "stale.js.br: old", "stale.js.gz: gzip", "none.js: identity", "pic.png: identity", "pic.png.gz: gzip",
		"dir.js: identity", "dir.js.br/", "link.js: identity", "link.js.br -> /etc/passwd", "link.js.gz -> all.js.gz",
		"index.html: identity", "index.html.br: br", "alone.js.br: br")
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"all.js": 10, "all.js.br": 5, "all.js.zst": 5, "all.js.gz": 10, "gz.css": 10, "stale.js": 10, "stale.js.br": 11, "link.js": 100,
		"pic.png": 10, "index.html": 10,
	} {
		when := now.Add(-age * time.Second)
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenCoded(t *testing.T) {
	tests := []struct{ name, path, accept, want, kind string }{
		{"9110-12.5.3 best", "/all.js", "gzip, zstd, br", "br", "text/javascript; charset=utf-8"},
		{"9110-12.5.3 by weight", "/all.js", "gzip, zstd;q=0.9, br;q=0.8", "gzip", "text/javascript; charset=utf-8"},
		{"9110-12.5.3 one", "/all.js", "zstd", "zstd", "text/javascript; charset=utf-8"},
		{"9110-12.5.3 none", "/all.js", "", "identity", "text/javascript; charset=utf-8"},
		{"9110-12.5.3 refused", "/all.js", "br;q=0, *;q=0", "identity", "text/javascript; charset=utf-8"},
		{"the one that is there", "/gz.css", "br, zstd, gzip;q=0.1", "gzip", "text/css; charset=utf-8"},
		{"none is there", "/none.js", "br, gzip", "identity", "text/javascript; charset=utf-8"},
		{"an older one does not count", "/stale.js", "br, gzip", "gzip", "text/javascript; charset=utf-8"},
		{"nor is it better than nothing", "/stale.js", "br", "identity", "text/javascript; charset=utf-8"},
		{"not for what is compressed already", "/pic.png", "gzip", "identity", "image/png"},
		{"a directory is no coding", "/dir.js", "br", "identity", "text/javascript; charset=utf-8"},
		{"a link outside is no coding", "/link.js", "br", "identity", "text/javascript; charset=utf-8"},
		{"a link inside is one", "/link.js", "br, gzip;q=0.5", "gzip", "text/javascript; charset=utf-8"},
		{"index", "/", "br", "br", "text/html; charset=utf-8"},
		{"the coded file itself", "/all.js.gz", "gzip", "gzip", "application/gzip"},
	}
	bothWays(t, plantCoded(t), func(t *testing.T, r *Root) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				f, status := r.Open([]byte(tt.path), accepting(t, tt.accept), new(proto.Access))
				if status != proto.StatusOK {
					t.Fatal(status)
				}
				defer f.Close()
				got := contents(t, f)
				if got != tt.want || f.ContentType() != tt.kind {
					t.Errorf("%q of type %q, want %q of type %q", got, f.ContentType(), tt.want, tt.kind)
				}
				if token := f.Coding().Token(); token != strings.TrimPrefix(got, "identity") && tt.path != "/all.js.gz" {
					t.Errorf("coding %q of %q", token, got)
				}
				if f.varies != strings.HasPrefix(f.ContentType(), "text/") {
					t.Errorf("varies: %v", f.varies)
				}
			})
		}
		if _, status := r.Open([]byte("/alone.js"), accepting(t, "br"), new(proto.Access)); status != proto.StatusNotFound {
			t.Errorf("a coding without its file: %d", status)
		}
	})
}

// A file whose format is compressed is sent in that coding, whatever the client accepts: it has
// no other form (RFC 9110 §8.4, §12.5.3).
func TestCodedByNature(t *testing.T) {
	dir := planted(t, "a.svgz: gz", "a.svgz.gz: twice", "a.SVGZ: gz", "b.tar.gz: gz", "c.tgz: gz", "d.emz: gz")
	bothWays(t, dir, func(t *testing.T, r *Root) {
		for path, coding := range map[string]proto.Coding{
			"/a.svgz": proto.Gzip, "/a.SVGZ": proto.Gzip, "/d.emz": proto.Gzip, "/b.tar.gz": proto.Identity, "/c.tgz": proto.Identity,
		} {
			for _, accept := range []string{"", "gzip", "br", "identity", "*;q=0"} {
				f, status := r.Open([]byte(path), accepting(t, accept), new(proto.Access))
				if status != proto.StatusOK {
					t.Fatal(status)
				}
				if got := contents(t, f); f.Coding() != coding || f.varies || got != "gz" {
					t.Errorf("%s to %q: %q in %q, varies %v", path, accept, got, f.Coding().Token(), f.varies)
				}
				f.Close()
			}
		}
	})
}

// A type configured by path has precedence over that of the extension, for sidecars and error
// pages too.
func TestTypeRules(t *testing.T) {
	dir := planted(t, "apple-app-site-association: {}", "apple-app-site-association.br: br", ".well-known/", ".well-known/apple-app-site-association: {}",
		"a.foo: foo", "a.foo.gz: gz", "dir/", "dir/a.foo: foo", "b.js: js", "c.svgz: gz", "404.html: no", "index.html: home", "d.png: png")
	r := openWith(t, dir, Policy{Index: []string{"index.html"}, Types: []Rule{
		{"apple-app-site-association", "application/json"}, {"dir/*.foo", "application/x-bar"}, {"*.foo", "text/x-foo; charset=latin1"},
		{"*.svgz", "application/gzip"}, {"*.html", "application/xhtml+xml"}, {"*.foo", "never/used"},
	}})
	for _, tt := range []struct {
		path, accept, kind string
		varies             bool
		coding             proto.Coding
	}{
		{"/apple-app-site-association", "", "application/json", true, proto.Identity},
		{"/apple-app-site-association", "br", "application/json", true, proto.Brotli},
		{"/.well-known/apple-app-site-association", "", "application/json", true, proto.Identity},
		{"/a.foo", "gzip", "text/x-foo; charset=latin1", true, proto.Gzip},
		{"/dir/a.foo", "", "application/x-bar", false, proto.Identity},
		{"/b.js", "", "text/javascript; charset=utf-8", true, proto.Identity},
		{"/c.svgz", "gzip", "application/gzip", false, proto.Identity},
		{"/d.png", "", "image/png", false, proto.Identity},
		{"/", "", "application/xhtml+xml", true, proto.Identity},
	} {
		f, status := r.Open([]byte(tt.path), accepting(t, tt.accept), new(proto.Access))
		if status != proto.StatusOK {
			t.Fatalf("%s: %d", tt.path, status)
		}
		if f.ContentType() != tt.kind || f.varies != tt.varies || f.Coding() != tt.coding {
			t.Errorf("9110-8.3: %s: %s, varies %v, in %q", tt.path, f.ContentType(), f.varies, f.Coding().Token())
		}
		f.Close()
	}
	if f, ok := r.Page(proto.StatusNotFound, new(proto.Access)); !ok || f.ContentType() != "application/xhtml+xml" {
		t.Errorf("the error page: %v", ok)
	}
}

func TestTypesTable(t *testing.T) {
	seen := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(table)) {
		extensions, kind, ok := strings.Cut(strings.TrimSpace(line), ": ")
		kind = strings.TrimSuffix(strings.TrimSuffix(kind, " z"), " gzip")
		if !ok || strings.Count(kind, "/") != 1 || strings.ToLower(kind) != kind {
			t.Errorf("malformed line %q", line)
		}
		if strings.HasPrefix(kind, "text/") != strings.HasSuffix(kind, "; charset=utf-8") && !strings.Contains(kind, "+xml") &&
			!strings.HasPrefix(kind, "application/x-subrip") {
			t.Errorf("9110-8.3.2: charset of %q", kind)
		}
		for _, ext := range strings.Fields(extensions) {
			if seen[ext] {
				t.Errorf("%s occurs twice", ext)
			}
			seen[ext] = true
			if ext != strings.ToLower(ext) || len(ext) > 16 || strings.ContainsAny(ext, "./:") {
				t.Errorf("malformed extension %q", ext)
			}
		}
	}
	if len(seen) != len(types) {
		t.Errorf("%d extensions in the table, %d types", len(seen), len(types))
	}
}

func TestContentType(t *testing.T) {
	tests := []struct{ name, want string }{
		{"index.html", "text/html; charset=utf-8"}, {"a/b.HTM", "text/html; charset=utf-8"}, {"a.css", "text/css; charset=utf-8"},
		{"a.txt", "text/plain; charset=utf-8"}, {"a.jpg", "image/jpeg"}, {"a.gif", "image/gif"}, {"a.avif", "image/avif"}, {"a.woff", "font/woff"},
		{"a.ttf", "font/ttf"}, {"a.otf", "font/otf"}, {"a.mp3", "audio/mpeg"}, {"a.webm", "video/webm"},
		{"a.js", "text/javascript; charset=utf-8"}, {"a.mjs", "text/javascript; charset=utf-8"}, {"a.json", "application/json"},
		{"a.svg", "image/svg+xml; charset=utf-8"}, {"a.PNG", "image/png"}, {"a.jpeg", "image/jpeg"}, {"a.webp", "image/webp"},
		{"a.woff2", "font/woff2"}, {"a.mp4", "video/mp4"}, {"a.wasm", "application/wasm"}, {"a.pdf", "application/pdf"},
		{"favicon.ico", "image/vnd.microsoft.icon"}, {"a.webmanifest", "application/manifest+json"}, {"a.tar.gz", "application/gzip"},
		{"a.svgz", "image/svg+xml; charset=utf-8"}, {"a.emz", "image/emf"}, {"a.WMZ", "image/wmf"}, {"a.wrz", "model/vrml"}, {"a.tgz", "application/gzip"},
		{"a", binary}, {"a.", binary}, {".html", "text/html; charset=utf-8"}, {"a.html/b", binary}, {"", binary},
		{"a.thisextensionistoolong", binary}, {"a.\xff", binary}, {"a.html\n", binary}, {"a.unknown", binary},
	}
	for _, tt := range tests {
		if got := typeOf([]byte(tt.name)).kind; got != tt.want {
			t.Errorf("9110-8.3: %q: %s, want %s", tt.name, got, tt.want)
		}
	}
}
