package website

import (
	"os"
	"path/filepath"
	"testing"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// Without the prefix there is nothing, not even the site's own page that says so.
func TestBehind(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "file", "404.html": "nothing"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := site.Open(dir, site.Policy{List: true})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s := behind{Uncached(root), "/secret"}
	for path, want := range map[string]proto.Status{
		"/secret/a.txt": 200, "/secret//a.txt": 200, "/secret": 301, "/secret/": 403, "/secret/b": 404,
		"/": 404, "": 404, "/a.txt": 404, "/secre": 404, "/secretx": 404, "/secretx/a.txt": 404, "//secret/a.txt": 404,
		"/%73ecret/a.txt": 404, "/secret/../secret/a.txt": 404,
	} {
		f, status := s.Open([]byte(path), proto.Codings{})
		if status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
		if status == 200 {
			f.Close()
		}
		list, status := s.List([]byte(path), nil, false)
		if (status == 200) != (path == "/secret/") {
			t.Errorf("list of %s: %d", path, status)
		}
		if status == 200 {
			list.Close()
		}
		if _, status := s.Fallback([]byte(path), proto.Codings{}); status == 200 {
			t.Errorf("fallback of %s", path)
		}
	}
	if f, ok := s.Page(404); ok {
		f.Close()
		t.Error("the site's own page is shown without the prefix")
	}
	var _ conn.Site = s
}
