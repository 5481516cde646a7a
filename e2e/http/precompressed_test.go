package http

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestPrecompressed requests files with precompressed sidecars.
func TestPrecompressed(t *testing.T) {
	t.Parallel()
	base := codedTree(t)
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		expect(s, codingExchanges())
		expect(s, codedRangeExchanges())
		checkCodedTags(s)
	})
}

// codedTree returns a document root with files that have sidecars in all codings, in one, an outdated
// one, ones that must not be served, and one of a type that is not compressed.
func codedTree(t *testing.T) string {
	t.Helper()
	base := harness.Tree(t, map[string]string{
		"app.js": "0123456789 identity", "app.js.gz": "GZ 0123456789", "app.js.zst": "ZST 0123456789", "app.js.br": "BR 0123456789",
		"only.css": "css", "only.css.gz": "GZ", "stale.txt": "new", "stale.txt.br": "OLD", "stale.txt.gz": "GZ",
		"pic.png": "png", "pic.png.gz": "GZ", "dir/index.html": "page", "dir/index.html.br": "BR", "lost.js.gz": "GZ",
		"trap.js": "plain", "trap.js.gz/x": "x", "out.js": "out",
	})
	for _, file := range harness.FilesOf(t, base) {
		harness.Aged(t, filepath.Join(base, file))
	}
	older := harness.Modified().Add(-time.Nanosecond)
	if err := os.Chtimes(filepath.Join(base, "stale.txt.br"), older, older); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(base, "out.js.gz")); err != nil {
		t.Fatal(err)
	}
	return base
}

func codingExchanges() (exchanges []exchange) {
	const identity, gz, zst, br = "0123456789 identity", "GZ 0123456789", "ZST 0123456789", "BR 0123456789"
	for _, c := range []struct{ target, accept, coding, body string }{
		{"/app.js", "", "", identity},
		{"/app.js", "gzip, deflate, br, zstd", "br", br},
		{"/app.js", "gzip, deflate", "gzip", gz},
		{"/app.js", "zstd, gzip", "zstd", zst},
		{"/app.js", "br;q=0.1, gzip;q=0.9, zstd;q=0.5", "gzip", gz},
		{"/app.js", "*", "br", br},
		{"/app.js", "br;q=0, *;q=0.5", "zstd", zst},
		{"/app.js", "gzip;q=0, br;q=0.0", "", identity},
		{"/app.js", "identity", "", identity},
		{"/app.js", "identity;q=1, gzip;q=0.5", "", identity},
		{"/app.js", "identity;q=0, gzip", "gzip", gz},
		{"/app.js", "gzip;q=0.001", "gzip", gz},
		{"/app.js", "X-GZIP", "gzip", gz},
		{"/app.js", "compress, deflate", "", identity},
		{"/only.css", "br, gzip", "gzip", "GZ"},
		{"/only.css", "br", "", "css"},
		{"/stale.txt", "br, gzip", "gzip", "GZ"},
		{"/stale.txt", "br", "", "new"},
		{"/pic.png", "gzip", "", "png"},
		{"/dir/", "br", "br", "BR"},
		{"/trap.js", "gzip", "", "plain"},
		{"/out.js", "gzip", "", "out"},
		{"/app.js.gz", "gzip", "", gz},
	} {
		vary := "Vary: Accept-Encoding"
		if c.target == "/pic.png" || c.target == "/app.js.gz" {
			vary = "Vary:"
		}
		exchanges = append(exchanges, exchange{
			target: c.target, fields: []string{"Accept-Encoding: " + c.accept}, status: 200, body: c.body,
			header: []string{"Content-Encoding: " + c.coding, "Content-Length: " + strconv.Itoa(len(c.body)), vary},
		})
	}
	exchanges[0].fields = nil
	return exchanges
}

// codedRangeExchanges are for ranges of sidecars, and for a sidecar without its file.
func codedRangeExchanges() []exchange {
	return []exchange{
		{target: "/app.js", fields: []string{"Accept-Encoding: gzip", "Range: bytes=3-5"}, status: 206, body: "012", header: []string{
			"Content-Encoding: gzip", "Content-Range: bytes 3-5/13", "Content-Type: text/javascript; charset=utf-8", "Vary: Accept-Encoding"}},
		{target: "/app.js", fields: []string{"Accept-Encoding: br", "Range: bytes=-2"}, status: 206, body: "89",
			header: []string{"Content-Range: bytes 11-12/13"}},
		{target: "/app.js", fields: []string{"Accept-Encoding: gzip", "Range: bytes=13-"}, status: 416, body: "*",
			header: []string{"Content-Range: bytes */13"}},
		{target: "/app.js", method: "HEAD", fields: []string{"Accept-Encoding: zstd"}, status: 200,
			header: []string{"Content-Encoding: zstd", "Content-Length: 14"}},
		{target: "/lost.js", fields: []string{"Accept-Encoding: gzip"}, status: 404, body: "*"},
	}
}

// checkCodedTags checks that each coding has an entity tag of its own, which matches no other coding.
func checkCodedTags(s *harness.Server) {
	s.T.Helper()
	codings := []string{"identity", "gzip", "zstd", "br"}
	for _, mine := range codings {
		tag := s.MustAsk(s.Dial(), harness.Request("GET", "/app.js", "Accept-Encoding: "+mine, "Connection: close")).Header.Get("ETag")
		if !strings.HasPrefix(tag, `"`) {
			s.T.Errorf("%s has the entity tag %q, want a strong one", mine, tag)
		}
		for _, coding := range codings {
			whole, part := 200, 200
			if coding == mine {
				whole, part = 304, 206
			}
			for fields, want := range map[string]int{"If-None-Match: " + tag: whole, "If-Range: " + tag + "\r\nRange: bytes=1-2": part} {
				r := s.MustAsk(s.Dial(), harness.Request("GET", "/app.js", "Accept-Encoding: "+coding, fields, "Connection: close"))
				if r.Status != want || r.Header.Get("Vary") != "Accept-Encoding" || want == 304 && r.Header.Get("ETag") != tag {
					s.T.Errorf("%s with %q of %s: %d %v, want %d", coding, fields, mine, r.Status, r.Header, want)
				}
			}
		}
	}
}

// TestChangedFilesAreSeenSoon changes a site whose files are cached: soon every worker serves the new
// state.
func TestChangedFilesAreSeenSoon(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"gone.txt": "here", "app.js": "plain"})
	harness.Aged(t, filepath.Join(base, "app.js"))
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base}})
	// Several requests, so that every worker serves one.
	everywhere := func(want, path string) func() bool {
		return func() bool {
			for range 8 {
				r, err := harness.Exchange(s.Port, harness.Request("GET", path, "Accept-Encoding: gzip", "Connection: close"))
				if err != nil || fmt.Sprint(r.Status, r.Header.Get("Content-Encoding")) != want {
					return false
				}
			}
			return true
		}
	}
	for path, want := range map[string]string{"/gone.txt": "200", "/come.txt": "404", "/app.js": "200"} {
		harness.Await(t, 3*time.Second, path, everywhere(want, path))
	}
	harness.Write(t, filepath.Join(base, "come.txt"), []byte("new"))
	harness.Write(t, filepath.Join(base, "app.js.gz"), []byte("gz"))
	if err := os.Remove(filepath.Join(base, "gone.txt")); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 3*time.Second, "the new file", everywhere("200", "/come.txt"))
	harness.Await(t, 3*time.Second, "404 for the removed file", everywhere("404", "/gone.txt"))
	harness.Await(t, 3*time.Second, "the new sidecar", everywhere("200gzip", "/app.js"))
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(base, "app.js"), later, later); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 3*time.Second, "the file instead of its outdated sidecar", everywhere("200", "/app.js"))
}
