package site

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// page returns the HTML listing of a directory.
func page(t *testing.T, r *Root, path string) string {
	t.Helper()
	return listingOf(t, r, path, false)
}

func jsonListing(t *testing.T, r *Root, path string) string {
	t.Helper()
	return listingOf(t, r, path, true)
}

func listingOf(t *testing.T, r *Root, path string, json bool) string {
	t.Helper()
	l, status := r.List([]byte(path), nil, json, new(proto.Access))
	if status != proto.StatusOK {
		t.Fatalf("%s: %d", path, status)
	}
	defer l.Close()
	if status := prepare(l); status != proto.StatusOK {
		t.Fatal(status)
	}
	return string(whole(l))
}

func listingRoot(t *testing.T, dir string) *Root {
	t.Helper()
	return openWith(t, dir, Policy{List: true})
}

// A name is shown as text: it cannot change the page, nor how the text around it is displayed.
func TestNamesOnPage(t *testing.T) {
	for name, want := range map[string]string{
		"plain.txt":                     `<a href="./plain.txt"><bdi>plain.txt</bdi></a>`,
		"a&<b>\"":                       `<a href="./a%26%3Cb%3E%22"><bdi>a&amp;&lt;b&gt;&#34;</bdi></a>`,
		"invoice\u202efdp.exe":          `<a href="./invoice%E2%80%AEfdp.exe"><bdi>invoice<i>U+202E</i>fdp.exe</bdi></a>`,
		"\u2067\u2069":                  `<bdi><i>U+2067</i><i>U+2069</i></bdi>`,
		"\u200e\u200f\u061c\u202d.txt":  `<bdi><i>U+200E</i><i>U+200F</i><i>U+061C</i><i>U+202D</i>.txt</bdi>`,
		"line\nbreak\t\x1b[31m\x7f":     `<bdi>line<i>U+000A</i>break<i>U+0009</i><i>U+001B</i>[31m<i>U+007F</i></bdi>`,
		"c1 \u0085 and \u2028 \u2029":   `<bdi>c1 <i>U+0085</i> and <i>U+2028</i> <i>U+2029</i></bdi>`,
		"\u05e9\u05dc\u05d5\u05dd.txt":  "<bdi>\u05e9\u05dc\u05d5\u05dd.txt</bdi>",
		"\U0001f469\u200d\U0001f4bb.md": "<bdi>\U0001f469\u200d\U0001f4bb.md</bdi>", // one picture of two, joined
		"no utf-8 \xff\xfe\u202e":       `<a href="./no%20utf-8%20%FF%FE%E2%80%AE"><bdi>no utf-8 ` + "\ufffd\ufffd" + `<i>U+202E</i></bdi></a>`,
	} {
		dir := planted(t, name+": x")
		if got := page(t, listingRoot(t, dir), "/"); !strings.Contains(got, "<td>") || !strings.Contains(got, want) {
			t.Errorf("%q: the page has no %s:\n%s", name, want, got[strings.Index(got, "<body>"):])
		}
	}
}

// The same applies to a directory's own name.
func TestPathOnPage(t *testing.T) {
	dir := planted(t, "a\u202eb/c\u2066<d>/", "a\u202eb/c\u2066<d>/file: x")
	r := listingRoot(t, dir)
	got := page(t, r, "/a\u202eb/c\u2066<d>/")
	for _, want := range []string{
		"<title>/a[U+202E]b/c[U+2066]&lt;d&gt;/</title>",
		`<a href="../"><bdi>a<i>U+202E</i>b</bdi></a>`,
		`<span aria-current="page"><bdi>c<i>U+2066</i>&lt;d&gt;</bdi></span>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page has no %s:\n%s", want, got)
		}
	}
	if got := page(t, r, "/"); !strings.Contains(got, "<bdi>a<i>U+202E</i>b</bdi>/</a>") {
		t.Errorf("the slash of a directory does not follow its name:\n%s", got)
	}
}

// The listing of an empty directory says so, and has no table.
func TestEmptyDirectory(t *testing.T) {
	dir := planted(t, "empty/", ".hidden: x", "empty/.hidden: x")
	r := listingRoot(t, dir)
	const empty = "<p>This directory is empty.</p>"
	got := page(t, r, "/empty/")
	if !strings.Contains(got, empty) || strings.Contains(got, "<table") || strings.Contains(got, "</table") ||
		!strings.Contains(got, `<a href="../"><bdi>root</bdi></a>`) || !strings.HasSuffix(got, "</p>\n</main>\n") {
		t.Errorf("%s", got)
	}
	if got := page(t, r, "/"); strings.Contains(got, empty) || !strings.Contains(got, "<table") {
		t.Errorf("%s", got)
	}
}

// A directory whose index file cannot be served is not listed instead.
func TestIndexThatIsNotServed(t *testing.T) {
	dir := planted(t, "out/", "out/index.html -> /etc/passwd", "out/a: x", "dir/", "dir/index.html/", "dir/a: x", "broken/", "broken/index.html -> nowhere", "none/", "none/a: x")
	bothWays(t, dir, func(t *testing.T, r *Root) {
		r.policy.List = true
		for path, want := range map[string]proto.Status{"/out/": 403, "/dir/": 200, "/broken/": 200, "/none/": 200, "/": 200} {
			l, status := r.List([]byte(path), nil, false, new(proto.Access))
			if status != want {
				t.Errorf("9110-15.5.4: %s: %d, want %d", path, status, want)
			}
			if l != nil {
				l.Close()
			}
		}
		checkNothingHeld(t, r)
	})
}

// A prefix that a proxy removes does not matter, because links are relative.
func TestLinksAreRelative(t *testing.T) {
	dir := planted(t, "a/", "a/b/", "a/b/c: x")
	got := page(t, listingRoot(t, dir), "/a/b/")
	for link := range strings.SplitSeq(got, `href="`) {
		if strings.HasPrefix(link, "/") {
			t.Errorf("a link from the root of the host: %.40s", link)
		}
	}
	const crumbs = `<a href="../../"><bdi>root</bdi></a> / <a href="../"><bdi>a</bdi></a> / <span aria-current="page"><bdi>b</bdi></span>`
	if !strings.Contains(got, crumbs) {
		t.Errorf("no %s in\n%s", crumbs, got)
	}
}

// The entity tag changes exactly when the listing does.
func TestListingTag(t *testing.T) {
	dir := planted(t, "l/", "l/a: x", "l/b/")
	r := listingRoot(t, dir)
	tag := func(path, query string, json bool) string {
		l, status := r.List([]byte(path), []byte(query), json, new(proto.Access))
		if status != proto.StatusOK || prepare(l) != proto.StatusOK {
			t.Fatal(status)
		}
		defer l.Close()
		return string(l.ETag())
	}
	seen := map[string]string{}
	change := func(what string, change func() error) {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		got := tag("/l/", "", false)
		if got != tag("/l/", "?sort=name", false) || len(got) < 4 || got[0] != '"' {
			t.Errorf("%s: the tag is %s, want that of the same listing", what, got)
		}
		for name, got := range map[string]string{what: got, what + ", by size": tag("/l/", "?sort=size", false), what + ", as JSON": tag("/l/", "", true)} {
			if before, ok := seen[got]; ok {
				t.Errorf("%s: the tag is that of %s", name, before)
			}
			seen[got] = name
		}
	}
	file := filepath.Join(dir, "l/a")
	change("at first", func() error { return nil })
	change("a size", func() error { return os.WriteFile(file, []byte("xy"), 0o644) })
	change("a time", func() error { return os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)) })
	change("a name", func() error { return os.Rename(file, file+"a") })
	change("a directory", func() error { return os.Rename(filepath.Join(dir, "l/b"), filepath.Join(dir, "l/c")) })
}

// The time of day is an element of its own, so that narrow screens can hide it.
func TestTimeOnPage(t *testing.T) {
	dir := planted(t, "file: x")
	changed := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "file"), changed, changed); err != nil {
		t.Fatal(err)
	}
	if got, want := page(t, listingRoot(t, dir), "/"), `<td title="1 bytes">1 B</td><td><time datetime="2026-05-04T03:02:01Z" title="2026-05-04 03:02:01">2026-05-04<span> 03:02</span></time></td>`; !strings.Contains(got, want) {
		t.Errorf("the page has no %s:\n%s", want, got)
	}
}

// A dot segment at the end of a path stands for the directory in every form: the file, the listing
// and the redirect are the same.
func TestDotSegments(t *testing.T) {
	dir := planted(t, "l/", "l/x: x", "l/sub/", "a.txt: A")
	r := openRoot(t, dir)
	r.policy.List = true
	for _, same := range [][]string{
		{"/l/", "/l/.", "/l/%2e", "/l/%2E", "//l/.", "/./l/.", "/l/./", "/l//.", "/l/././", "/l/%2e/.", "/.//l//./"},
		{"/", "", "/.", "/%2e", "/./", "//.", "/./."},
		{"/l", "//l", "/./l", "/%2e//l"},
		{"/l/x", "/l/./x", "/l/%2e/x", "/./l//x"},
		{"/a.txt/", "/a.txt/.", "/a.txt/%2e", "/a.txt/./"},
		{"/nope/", "/nope/.", "/nope/%2e"},
		{"/l/..", "/l/%2e%2e", "/l/.%2e", "/l/%2e.", "/l/../", "//l/.."},
	} {
		want := ending(t, r, same[0])
		for _, path := range same[1:] {
			if got := ending(t, r, path); got != want {
				t.Errorf("3986-5.2.4: %q: %s\nwant that of %q: %s", path, got, same[0], want)
			}
		}
	}
	if got := ending(t, r, "/l/."); !strings.Contains(got, `"name":"x"`) {
		t.Error(got)
	}
}

// ending returns what is served for a path.
func ending(t *testing.T, r *Root, path string) string {
	t.Helper()
	got, status := fetch(t, r, path, proto.Codings{})
	if status != proto.StatusForbidden {
		return fmt.Sprint(status, " ", got)
	}
	l, listed := r.List([]byte(path), nil, true, new(proto.Access))
	if listed != proto.StatusOK {
		return fmt.Sprint(status, " ", listed)
	}
	defer l.Close()
	if status := prepare(l); status != proto.StatusOK {
		t.Fatal(status)
	}
	var list []byte
	for done := false; !done; {
		list, done, _ = l.Append(list)
	}
	return string(list)
}

// Sizes and times up to the largest possible are correct, or left out.
func TestListingAtTheEdge(t *testing.T) {
	l := &listed{kind: kind{path: "/"}, entries: []entry{
		{name: "a", size: math.MaxInt64, modified: 253402300799}, {name: "b", size: math.MaxInt64, modified: 253402300800},
		{name: "c", size: 1 << 62, modified: math.MinInt64}, {name: "d", modified: -1}, {name: "e", modified: 10413792000},
	}}
	for _, tt := range []struct {
		format format
		want   []string
	}{
		{htmlFormat{}, []string{
			"5 files, 9.22 EB in files", `9.22 EB</td><td><time datetime="9999-12-31T23:59:59Z"`, "9.22 EB</td><td></td>", "4.61 EB</td><td></td>",
			"1969-12-31<span> 23:59</span>", "2300-01-01<span> 00:00</span>",
		}},
		{jsonFormat{}, []string{
			`"size":9223372036854775807,"modified":"9999-12-31T23:59:59Z"`, `"size":9223372036854775807,"modified":null}`,
			`"size":4611686018427387904,"modified":null}`, `"modified":"1969-12-31T23:59:59Z"`, `"modified":"2300-01-01T00:00:00Z"`,
		}},
	} {
		got := tt.format.begin(nil, l)
		for i := range l.entries {
			got = tt.format.row(got, l, i)
		}
		got = tt.format.end(got, l)
		for _, want := range tt.want {
			if !strings.Contains(string(got), want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
		if tt.format == (jsonFormat{}) && !json.Valid(got) {
			t.Errorf("8259: %s", got)
		}
	}
}
