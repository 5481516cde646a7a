package site

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// lockedTree creates a site with areas, whose locked files contain the secret.
var lockedTree = []string{
	"public/", "private/deep/", "private/dir/", "Mixed/", "index.html: home", "public/a.html: public", "public/a.html.gz: public",
	"private/index.html: " + secret, "private/a.html: " + secret, "private/a.html.gz: " + secret, "private/deep/b.txt: " + secret,
	"public/pay.pdf: " + secret, "public/pay.pdf.br: " + secret, "Mixed/c.txt: " + secret, "only.html: " + secret, "only.html.gz: " + secret,
	"other.txt: other " + secret, "page.html: a page", "404.html: nothing", "private/README.md: " + secret,
}

// openAreas opens that tree with realm 0 for most of it, and realm 1 for other.txt.
func openAreas(t testing.TB, change func(*Policy)) *Root {
	t.Helper()
	dir := planted(t, lockedTree...)
	p := Policy{
		Index: []string{"index.html"}, List: true, Archive: true, Readme: true,
		Areas: []Area{{Pattern: "private/**"}, {Pattern: "*.pdf"}, {Pattern: "Mixed"}, {Pattern: "only.html"}, {Pattern: "page"}, {Pattern: "other.txt", Realm: 1}},
	}
	if change != nil {
		change(&p)
	}
	return openWith(t, dir, p)
}

// Nothing in an area is opened without its credentials, in whatever form the path is given and
// whether or not it exists.
func TestAreas(t *testing.T) {
	r := openAreas(t, nil)
	cache := NewCache(r, time.Minute, maxFound)
	defer cache.Close()
	for path, want := range map[string]proto.Status{
		"/private/a.html": 401, "/private": 401, "/private/": 401, "/private/index.html": 401, "/private/deep/b.txt": 401, "/private/none": 401, "/private/none/": 401,
		"//private//a.html": 401, "/./private/./a.html": 401, "/private/.": 401, "/%70rivate/a.html": 401, "/private/a%2ehtml": 401, "/private/a.html.gz": 401,
		"/PRIVATE/a.html": 401, "/private./a.html": 401, "/private%20/a.html": 401, "/private/a.html.": 401, "/private/none.html.br": 401,
		"/public/pay.pdf": 401, "/public/pay.pdf.br": 401, "/public/pay.PDF": 401, "/public/none.pdf": 401, "/pay.pdf/x": 401, "/public/pay.pdf.gz.br": 401,
		"/mixed/c.txt": 401, "/Mixed/c.txt": 401, "/Mixed": 401, "/only.html": 401, "/only.html.gz": 401, "/other.txt": 401, "/page": 401,
		"/": 200, "/public/a.html": 200, "/public/a.html.gz": 200, "/privat": 404, "/privatex": 404, "/public/": 403, "/public": 301, "/x/private": 404,
		"/private/../public/a.html": 404, "/private%2fa.html": 404, "/private/%00": 404, "/private/.htaccess": 404,
	} {
		for round := range 2 {
			for name, open := range map[string]func([]byte, proto.Codings, *proto.Access) (*File, proto.Status){"root": r.Open, "cache": cache.Open} {
				access := new(proto.Access)
				f, status := open([]byte(path), accepting(t, "gzip, br"), access)
				if f != nil {
					f.Close()
				}
				if status != want || (access.Missing() != 0) != (want == proto.StatusUnauthorized) {
					t.Errorf("%s %d: %s: %d, missing %b; want %d", name, round, path, status, access.Missing(), want)
				}
			}
		}
	}
}

// With the credentials of its realm, and no other's, a file is opened, and the used realm is
// reported, also after a request without credentials.
func TestAreasGranted(t *testing.T) {
	r := openAreas(t, nil)
	r.Now = func() time.Time { return time.Now().Add(time.Hour) }
	cache := NewCache(r, time.Minute, maxFound)
	defer cache.Close()
	tests := []struct {
		path          string
		granted, used proto.Realms
		want          proto.Status
	}{
		{"/private/a.html", 0b01, 0b01, 200}, {"/private/a.html", 0b10, 0b01, 401}, {"/private/none", 0b01, 0b01, 404}, {"/private", 0b01, 0b01, 301},
		{"/private/", 0b01, 0b01, 200}, {"/private/dir/", 0b01, 0b01, 403}, {"/other.txt", 0b10, 0b10, 200}, {"/other.txt", 0b01, 0b10, 401}, {"/other.txt", 0b11, 0b10, 200},
		{"/public/a.html", 0b11, 0, 200}, {"/none", 0b11, 0, 404},
	}
	for _, granted := range []bool{true, false, true} {
		for _, tt := range tests {
			if !granted {
				tt.granted = 0
				if tt.used != 0 {
					tt.want = 401
				}
			}
			for name, open := range map[string]func([]byte, proto.Codings, *proto.Access) (*File, proto.Status){"root": r.Open, "cache": cache.Open} {
				access := &proto.Access{Granted: tt.granted}
				f, status := open([]byte(tt.path), proto.Codings{}, access)
				if f != nil {
					f.Close()
				}
				if status != tt.want || access.Used != tt.used {
					t.Errorf("%s: %s with %b: %d, used %b; want %d, %b", name, tt.path, tt.granted, status, access.Used, tt.want, tt.used)
				}
			}
		}
	}
}

// A file that is sent in place of another is in the areas of its own name: an index, a page
// with a clean path, the fallback and error pages.
func TestAreasOfWhatIsSent(t *testing.T) {
	find := func(policy func(*Policy), pattern string) func(path string) (string, proto.Status) {
		r := openAreas(t, func(p *Policy) {
			p.Areas = []Area{{Pattern: pattern}}
			policy(p)
		})
		return func(path string) (string, proto.Status) {
			open := r.Open
			if path == "fallback" {
				open = r.Fallback
			}
			f, status := open([]byte(path), proto.Codings{}, new(proto.Access))
			if f == nil {
				return "", status
			}
			defer f.Close()
			return contents(t, f), status
		}
	}
	none := func(*Policy) {}
	clean := func(p *Policy) { p.Clean = true }
	spa := func(p *Policy) { p.Fallback = "only.html" }
	for _, tt := range []struct {
		name   string
		found  func(string) (string, proto.Status)
		path   string
		status proto.Status
	}{
		{"index", find(none, "private/index.html"), "/private/", 401},
		{"index by name", find(none, "index.html"), "/", 401},
		{"the clean path of something else", find(clean, "page"), "/only", 200},
		{"clean", find(clean, "page.html"), "/page", 401},
		{"clean, the file", find(clean, "page"), "/page.html", 401},
		{"clean, the file encoded", find(clean, "page"), "/page%2ehtml", 401},
		{"clean, with a slash", find(clean, "page.html"), "/page/", 401},
		{"clean, redirected", find(clean, "page.html"), "/page.html", 401},
		{"clean, its sidecar", find(clean, "only"), "/only.html.gz", 401},
		{"fallback", find(spa, "only.html"), "fallback", 401},
		{"everything", find(none, "**"), "/", 401},
		{"everything", find(none, "*"), "/public/a.html", 401},
		{"nothing there", find(none, "**"), "/none", 401},
	} {
		if text, status := tt.found(tt.path); status != tt.status || status == 401 && text != "" {
			t.Errorf("%s: %d %q, want %d", tt.name, status, text, tt.status)
		}
	}
	r := openAreas(t, func(p *Policy) { p.Areas = []Area{{Pattern: "**"}} })
	if _, ok := r.Page(proto.StatusNotFound, new(proto.Access)); ok {
		t.Error("a locked error page is shown")
	}
	plant(t, fmt.Sprintf("/proc/self/fd/%d", r.dir), "401.html: who are you?")
	f, ok := r.Page(proto.StatusUnauthorized, new(proto.Access))
	if !ok {
		t.Fatal("the error page for 401 needs credentials")
	}
	f.Close()
}

// Listings and archives contain what the request may get, and nothing of the rest: no name, no
// README.
func TestAreasInDirectories(t *testing.T) {
	r := openAreas(t, nil)
	for _, tt := range []struct {
		path    string
		granted proto.Realms
		want    []string
	}{
		{"/", 0, []string{"public", "404.html", "index.html", "page.html"}},
		{"/", 0b10, []string{"public", "404.html", "index.html", "other.txt", "page.html"}},
		{"/", 0b11, []string{"Mixed", "private", "public", "404.html", "index.html", "only.html", "only.html.gz", "other.txt", "page.html"}},
		{"/public/", 0, []string{"a.html", "a.html.gz"}},
		{"/private/", 0, []string{"Unauthorized"}},
		{"/private/dir/", 0b10, []string{"Unauthorized"}},
		{"/private/deep/", 0b01, []string{"b.txt"}},
		{"/", 0, []string{"public", "404.html", "index.html", "page.html"}},
	} {
		if got := listedNames(t, r, tt.path, tt.granted); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s with %b: %q, want %q", tt.path, tt.granted, got, tt.want)
		}
	}
	public := []string{"404.html: nothing", "index.html: home", "page.html: a page", "public/", "public/a.html: public", "public/a.html.gz: public"}
	for granted, more := range map[proto.Realms][]string{0: nil, 0b10: {"other.txt: other " + secret}} {
		text, err := archivedFor(t, r, "/", formatTar, &proto.Access{Granted: granted})
		if err != nil {
			t.Fatal(err)
		}
		got, want := contentOf(t, text, formatTar), []string{"files/"}
		for _, name := range append(more, public...) {
			want = append(want, "files/"+name)
		}
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("with %b the archive has %q, want %q", granted, got, want)
		}
	}
	text, err := archivedFor(t, r, "/", formatTar, &proto.Access{Granted: 0b11})
	if got := len(contentOf(t, text, formatTar)); err != nil || got != 22 {
		t.Errorf("the whole archive has %d entries: %v", got, err)
	}
	if _, status := r.Archive([]byte("/private/"), formatTar, new(proto.Access)); status != proto.StatusUnauthorized {
		t.Errorf("an archive of an area: %d", status)
	}
}

// listedNames returns the names in the listing of a directory, or why there is none.
func listedNames(t *testing.T, r *Root, path string, granted proto.Realms) (all []string) {
	t.Helper()
	l, status := r.List([]byte(path), nil, true, &proto.Access{Granted: granted})
	if status != proto.StatusOK {
		return []string{status.Reason()}
	}
	defer l.Close()
	if status := prepare(l); status != proto.StatusOK {
		t.Fatal(status)
	}
	var list struct{ Entries []struct{ Name string } }
	if err := json.Unmarshal(whole(l), &list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Entries {
		all = append(all, e.Name)
	}
	return all
}

// A symbolic link does not lead into an area: the resolved name of what is opened counts, also
// that of a missing file behind a link.
func TestAreasBehindLinks(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "private/deep/", "public/", "private/a.html: "+secret, "private/deep/b.txt: "+secret, "public/p.txt: public",
		"link -> private/a.html", "dirlink -> private/deep", "public/up -> ../private", "public/chain -> ../dirlink", "open -> public/p.txt", "private/out -> ../public",
		"absolute -> "+dir+"/private/a.html", "self -> .", "gone -> private/gone", "public/p.txt.gz -> ../private/a.html")
	for name, openRoot := range map[string]func(testing.TB, string) *Root{"openat2": openRoot, "os.Root": openFallback} {
		r := openRoot(t, dir)
		r.policy = Policy{List: true, Archive: true, Areas: []Area{{Pattern: "private"}}}
		for path, want := range map[string]proto.Status{
			"/link": 401, "/dirlink": 401, "/dirlink/": 401, "/dirlink/b.txt": 401, "/dirlink/none": 401, "/public/up/a.html": 401, "/public/up/none/at/all": 401,
			"/public/chain/b.txt": 401, "/absolute": 401, "/self/private/a.html": 401, "/self/self/link": 401, "/gone": 401, "/public/p.txt.gz": 401, "/private/out/p.txt": 401,
			"/open": 200, "/self/open": 200, "/public/p.txt": 200, "/none": 404, "/public/p.txt/x": 404,
		} {
			f, status := r.Open([]byte(path), accepting(t, "gzip"), new(proto.Access))
			if f != nil {
				f.Close()
			}
			if status != want {
				t.Errorf("%s: %s: %d, want %d", name, path, status, want)
			}
		}
		if got, status := r.Open([]byte("/public/up/a.html"), proto.Codings{}, &proto.Access{Granted: 1}); status != proto.StatusOK || contents(t, got) != secret {
			t.Errorf("%s: with the credentials: %d", name, status)
		} else {
			got.Close()
		}
		if got := listedNames(t, r, "/", 0); !slices.Equal(got, []string{"public", "self", "open"}) {
			t.Errorf("%s: the listing has %q", name, got)
		}
		text, err := archivedFor(t, r, "/", formatTar, new(proto.Access))
		if err != nil || bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s: the archive has locked files, or ends with %v", name, err)
		}
	}
}

// Whether a path needs credentials is decided quickly, however long it is: a path with more
// directories than any site has needs them, and others are compared once with each pattern.
func TestDeepNames(t *testing.T) {
	r := openAreas(t, nil)
	for n, want := range map[int]proto.Status{maxDepth: 404, maxDepth + 1: 401, 1900: 401} {
		path := []byte(strings.Repeat("/q", n) + "/x")
		if _, status := r.Open(path, proto.Codings{}, new(proto.Access)); status != want {
			t.Errorf("%d directories: %d, want %d", n, status, want)
		}
		if _, status := r.Open(path, proto.Codings{}, &proto.Access{Granted: 1}); status != 404 {
			t.Errorf("%d directories, with credentials: %d", n, status)
		}
	}
	a, name := Area{Pattern: "Private/**"}, strings.Repeat("q/", maxDepth)+"x"
	if n := testing.AllocsPerRun(10, func() { a.has(name) }); n > 10 {
		t.Errorf("%v allocations", n)
	}
}
