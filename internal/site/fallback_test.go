package site

import (
	"os"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// The fallback is sent for missing pages, and for nothing else.
func TestFallback(t *testing.T) {
	dir := planted(t, "app.html: app", "app.html.br: br", ".env: secret", "a.txt: A")
	policy := Policy{Index: []string{"index.html"}, Fallback: "app.html"}
	r := openWith(t, dir, policy)
	r.Now = func() time.Time { return time.Now().Add(time.Hour) }
	cache := NewCache(r, time.Minute, maxFound)
	defer cache.Close()
	for path, want := range map[string]proto.Status{
		"/users/7": 200, "/a.txt/route": 200, "/users/": 200, "/about.html": 200, "/v1.2": 200, "/john.doe": 200, "/blob/main.go": 200, "/x.md": 200,
		"/missing.js": 404, "/missing.CSS": 404, "/a/b.png": 404, "/data.json": 404, "/robots.txt": 404, "/sitemap.xml": 404, "/favicon.ico": 404,
		"/font.woff2": 404, "/get.zip": 404, "/app.js.map": 404, "/app.wasm": 404,
		"/.env": 404, "/../x": 404, "/%2e%2e/x": 404, "/%00": 404, "/%zz": 400,
	} {
		for name, open := range map[string]func([]byte, proto.Codings, *proto.Access) (*File, proto.Status){"root": r.Fallback, "cache": cache.Fallback} {
			f, status := open([]byte(path), accepting(t, "br"), new(proto.Access))
			if status != want {
				t.Errorf("%s: %s: %d, want %d", name, path, status, want)
			}
			if f == nil {
				continue
			}
			if f.CacheControl() != "no-cache" || f.Coding() != proto.Brotli {
				t.Errorf("%s: %s: Cache-Control %q in %q", name, path, f.CacheControl(), f.Coding().Token())
			}
			if vary := f.Vary(); vary != "Accept-Encoding, Accept, Sec-Fetch-Mode, Sec-Fetch-Dest" {
				t.Errorf("9110-12.5.5: %s: %s: Vary %q", name, path, vary)
			}
			f.Close()
		}
	}
	if n := len(cache.found.ring); n != 1 {
		t.Errorf("the fallback is cached %d times", n)
	}
	f, _ := r.Open([]byte("/app.html"), proto.Codings{}, new(proto.Access))
	if f.CacheControl() != "" || f.Vary() != "Accept-Encoding" {
		t.Errorf("by its own name: %q, Vary %q", f.CacheControl(), f.Vary())
	}
	f.Close()
	if _, status := r.Open([]byte("/users/7"), proto.Codings{}, new(proto.Access)); status != proto.StatusNotFound {
		t.Errorf("opened although there is no fallback: %d", status)
	}
	r.policy.Cache = []Rule{{"app.html", "max-age=60"}}
	if f, _ := r.Fallback([]byte("/users/7"), proto.Codings{}, new(proto.Access)); f.CacheControl() != "max-age=60" {
		t.Errorf("a rule for the file: %q", f.CacheControl())
	} else {
		f.Close()
	}
	if err := os.Remove(dir + "/app.html"); err != nil {
		t.Fatal(err)
	}
	if _, status := r.Fallback([]byte("/users/7"), proto.Codings{}, new(proto.Access)); status != proto.StatusNotFound {
		t.Errorf("a missing fallback: %d", status)
	}
}
