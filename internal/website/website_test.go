package website

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// write writes a file, and creates its directory.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, args ...string) options.Options {
	t.Helper()
	o, err := options.Start{Name: "master", Args: args, Getenv: func(string) string { return "" }}.Options()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestPolicy(t *testing.T) {
	o := parse(t, "--dotfiles", "--list", "--spa", "app.html", "--index", "a", "--index", "b", "--cache", "*.js=no-cache", "--cache", "x/**=max-age=5", "--type", "y=a/b")
	want := site.Policy{
		Dotfiles: true, Rules: true, List: true, Readme: true, Fallback: "app.html", Index: []string{"a", "b"},
		Cache: []site.Rule{{Pattern: "*.js", Value: "no-cache"}, {Pattern: "x/**", Value: "max-age=5"}},
		Types: []site.Rule{{Pattern: "y", Value: "a/b"}},
	}
	if got := Policy(o); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestConfig(t *testing.T) {
	o := parse(t, "--model", "serial", "--list", "--cors", "--header", "A: b", "--header", "C: d", "--keepalive", "5s", "--expires", "1m")
	want := conn.Config{
		Server: "phalanx/" + options.Version, KeepAlive: 5 * time.Second, Expires: time.Minute,
		Single: true, List: true, CORS: true, Header: []string{"A: b", "C: d"},
	}
	if got := Config(o); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Connections reach the same files with and without a file cache.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "file", "404.html": "nothing"} {
		write(t, dir+"/"+name, text)
	}
	root, err := site.Open(dir, site.Policy{List: true})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	cache := site.NewCache(root, time.Minute, 100)
	defer cache.Close()
	for name, files := range map[string]conn.Site{"uncached": Uncached(root), "cached": Cached(root, cache)} {
		f, status := files.Open([]byte("/a.txt"), proto.Codings{}, new(proto.Access))
		if status != proto.StatusOK || f.Size() != 4 {
			t.Fatalf("%s: status %d", name, status)
		}
		f.Close()
		if _, status = files.Open([]byte("/b.txt"), proto.Codings{}, new(proto.Access)); status != proto.StatusNotFound {
			t.Errorf("%s: status %d", name, status)
		}
		page, ok := files.Page(proto.StatusNotFound, new(proto.Access))
		if !ok || page.Size() != 7 {
			t.Fatalf("%s: no page", name)
		}
		page.Close()
		if _, ok = files.Page(proto.StatusInternalServerError, new(proto.Access)); ok {
			t.Errorf("%s: a missing page is returned", name)
		}
		l, status := files.List([]byte("/"), nil, true, new(proto.Access))
		if status != proto.StatusOK || l.ContentType() != "application/json" {
			t.Fatalf("%s: status %d", name, status)
		}
		l.Close()
	}
}

// Request IDs are long enough to be unique, and consist of characters that are valid in any
// log.
func TestAppendID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := string(appendID([]byte("x")))
		if !regexp.MustCompile(`^x[0-9a-f]{32}$`).MatchString(id) || seen[id] {
			t.Fatalf("the ID %q after %d others", id, len(seen))
		}
		seen[id] = true
	}
	for flag, want := range map[string]bool{"--list": false, "--request-id": true, "-v": true} {
		if got := Config(parse(t, flag)).ID != nil; got != want {
			t.Errorf("with %s requests have IDs: %v", flag, got)
		}
	}
}

// A fallback that cannot be opened is an error that names its flag.
func TestOpenRefusesMissingFallback(t *testing.T) {
	_, err := Open(t.TempDir(), parse(t, "--spa", "app.html"))
	if want := "--spa: fallback app.html: no such file or directory; name a file in the document root"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := Open("/nowhere", parse(t)); err == nil || err.Error() != `open root "/nowhere": no such file or directory` {
		t.Errorf("%v", err)
	}
}
