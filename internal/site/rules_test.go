package site

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// found returns the target of the first rule for a path, or "" if there is none.
func found(r *Root, path string) string {
	var m rules.Match
	if !r.Rules().Find(&m, rules.Request{Path: []byte(path)}) {
		return ""
	}
	return string(m.Target())
}

// TestFilesOfRules checks that rule files are read in addition to given rules, and never served.
func TestFilesOfRules(t *testing.T) {
	dir := planted(t, "_redirects: /a /file\n/b /file", "_headers: /x\n  A: file\n", "a.txt: a", "sub/", "sub/_redirects: served", "_headers.txt: served")
	r := openWith(t, dir, Policy{Rules: true, List: true, Archive: true})
	if r.Rules() != nil {
		t.Error("there are rules before the files are read")
	}
	given := []rules.Text{
		{Kind: rules.Headers, Name: "--header", Bytes: []byte("/x: ! A"), Option: true},
		{Name: "--redirect", Bytes: []byte("/a /given"), Option: true},
	}
	if err := r.ReadRules(given); err != nil {
		t.Fatal(err)
	}
	if a, b := found(r, "/a"), found(r, "/b"); a != "/given" || b != "/file" {
		t.Error(a, b)
	}
	var m rules.Match
	if !r.Rules().Fields(&m, rules.Request{Path: []byte("/x")}) {
		t.Error("there are no header fields")
	}
	if out := string(m.Amend([]byte("HTTP/1.1 200 OK\r\n\r\n"), 0, rules.File)); strings.Contains(out, "file") {
		t.Error(out)
	}
	for path, want := range map[string]proto.Status{
		"/_redirects": 404, "/_headers": 404, "//_headers": 404, "/%5Fheaders": 404, "/./_redirects": 404, "/_redirects/": 404,
		"/sub/_redirects": 200, "/_headers.txt": 200,
	} {
		f, status := r.Open([]byte(path), proto.Codings{}, new(proto.Access))
		if status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
		if f != nil {
			f.Close()
		}
	}
	if list := jsonListing(t, r, "/"); strings.Contains(list, `"_redirects"`) || strings.Contains(list, `"_headers"`) || !strings.Contains(list, "_headers.txt") {
		t.Error(list)
	}
	off := openWith(t, dir, Policy{})
	if err := off.ReadRules(nil); err != nil || off.Rules() != nil {
		t.Error(err, off.Rules())
	}
	if f, status := off.Open([]byte("/_redirects"), proto.Codings{}, new(proto.Access)); status != proto.StatusOK {
		t.Error(status)
	} else {
		f.Close()
	}
}

// Nor are the files of rules served, listed or archived where a link leads back to the root.
func TestFilesOfRulesBehindLinks(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "sub/", "_redirects: /a /b", "_headers: /x\n  A: b", "a.txt: a", "sub/_redirects: served", "self -> .", "abs -> "+dir, "sub/up -> ..")
	for _, links := range []Symlinks{LinksInside, LinksBeneath} {
		linked(t, dir, links, func(t *testing.T, r *Root) {
			r.policy.Rules, r.policy.Archive = true, true
			for path, want := range map[string]proto.Status{
				"/self/_redirects": 404, "/self/self/_headers": 404, "/abs/_headers": 404, "/sub/up/_headers": 404, "/self/sub/up/_redirects": 404,
				"/self/a.txt": 200, "/sub/_redirects": 200, "/self/sub/_redirects": 200,
			} {
				f, status := r.Open([]byte(path), proto.Codings{}, new(proto.Access))
				if status != want {
					t.Errorf("%s: %d, want %d", path, status, want)
				}
				if f != nil {
					f.Close()
				}
			}
			if list := jsonListing(t, r, "/self/"); strings.Contains(list, "_redirects") || strings.Contains(list, "_headers") || !strings.Contains(list, "a.txt") {
				t.Error(list)
			}
			text, err := archived(t, r, "/sub/", formatTar)
			if err != nil {
				t.Fatal(err)
			}
			got, want := contentOf(t, text, formatTar), []string{"sub/", "sub/_redirects: served", "sub/up/", "sub/up/a.txt: a"}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("the archive has %q, want %q", got, want)
			}
		})
	}
}

// TestWatchRules checks that a change takes effect as a whole within a second, or not at all.
func TestWatchRules(t *testing.T) {
	dir := t.TempDir()
	r := openWith(t, dir, Policy{Rules: true})
	if err := r.ReadRules(nil); err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 100) // more than the test can cause
	stop := r.WatchRules(func(err error) { told <- err })
	next := func() error {
		t.Helper()
		select {
		case err := <-told:
			return err
		case <-time.After(time.Minute):
			t.Fatal("nothing was reported")
			return nil
		}
	}
	plant(t, dir, "_redirects: /a /one")
	if err := next(); err != nil || found(r, "/a") != "/one" {
		t.Errorf("%v, %q", err, found(r, "/a"))
	}
	plant(t, dir, "_redirects: /a /two\nbad\n")
	if err := next(); err == nil || !strings.HasPrefix(err.Error(), "_redirects:2: ") || found(r, "/a") != "/one" {
		t.Errorf("%v, %q", err, found(r, "/a"))
	}
	plant(t, dir, ".new: /a /three")
	if err := os.Rename(dir+"/.new", dir+"/_redirects"); err != nil {
		t.Fatal(err)
	}
	if err := next(); err != nil || found(r, "/a") != "/three" {
		t.Errorf("%v, %q", err, found(r, "/a"))
	}
	if err := os.Remove(dir + "/_redirects"); err != nil {
		t.Fatal(err)
	}
	if err := next(); err != nil || r.Rules() != nil {
		t.Errorf("%v, %v", err, r.Rules())
	}
	stop()
	if len(told) > 0 {
		t.Errorf("reported again: %v", <-told)
	}
}

// TestWatchRulesFromElsewhere changes a rule file without a change of the root directory: behind a
// symbolic link, whose target is exchanged, and through another name of the file.
func TestWatchRulesFromElsewhere(t *testing.T) {
	dir := planted(t, "one/", "two/", "other/", "one/_redirects: /a /one", "two/_redirects: /a /two", "other/_headers: /*\n  A: 1\n",
		"data -> one", "_redirects -> data/_redirects", "next -> two")
	if err := os.Link(dir+"/other/_headers", dir+"/_headers"); err != nil {
		t.Fatal(err)
	}
	r := openWith(t, dir, Policy{Rules: true})
	if err := r.ReadRules(nil); err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 100) // more than the test can cause
	defer r.WatchRules(func(err error) { told <- err })()
	if err := os.Rename(dir+"/next", dir+"/data"); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil || found(r, "/a") != "/two" {
		t.Errorf("%v, %q", err, found(r, "/a"))
	}
	plant(t, dir, "other/_headers: # none\n")
	if err := <-told; err != nil || r.Rules().Headers() {
		t.Errorf("%v, but there are still header fields", err)
	}
}

// TestRulesThatCannotBeRead checks that unreadable rules are an error, unlike missing ones.
func TestRulesThatCannotBeRead(t *testing.T) {
	dir := planted(t, "_headers/")
	r := openWith(t, dir, Policy{Rules: true})
	if err := r.ReadRules(nil); err == nil || err.Error() != "_headers: is a directory" {
		t.Error(err)
	}
	os.Remove(dir + "/_headers")
	plant(t, dir, "_headers -> /etc/passwd")
	if err := r.ReadRules(nil); err == nil || err.Error() != "_headers: is a symbolic link that leads out of the document root" {
		t.Error(err)
	}
	none := openWith(t, dir, Policy{Rules: true, Symlinks: LinksNone})
	if err := none.ReadRules(nil); err == nil || err.Error() != "_headers: is a symbolic link, and links are not followed" {
		t.Error(err)
	}
}

// TestCleanPaths checks the rule: a page has no final slash, a directory has one.
func TestCleanPaths(t *testing.T) {
	dir := planted(t, "both/", "dir/", "empty/", "deep/", "folder.html/",
		"index.html: home", "about.html: about", "both.html: page", "both/index.html: directory", "dir/index.html: directory",
		"plain: plain", "plain.html: beside plain", "empty/x.txt: x", "v1.2.html: dots", "a b.html: space", ".html: none",
		"deep/page.html: deep", "style.css: css", "folder.html/index.html: odd")
	clean := openWith(t, dir, Policy{Index: []string{"index.html"}, Clean: true})
	for path, want := range map[string]string{
		"/": "home", "": "home", "/index.html": "308", "/index": "308",
		"/about": "about", "/about.html": "308", "/about/": "308", "/about.html/": "404", "/abou%74": "about", "/about.htm%6c": "about",
		"/both": "page", "/both/": "directory", "/both.html": "308",
		"/dir": "301", "/dir/": "directory", "/dir/index.html": "308", "/dir/index": "308",
		"/plain": "plain", "/plain.html": "beside plain", "/plain/": "308",
		"/empty": "301", "/empty/": "403",
		"/v1.2": "dots", "/v1.2.html": "308", "/a%20b": "space", "/.html": "404", "/deep/page": "deep", "/deep/page.html": "308",
		"/style.css": "css", "/nothing": "404", "/nothing.html": "404", "/nothing/": "404", "/folder.html": "301", "/folder.html/": "odd", "/folder": "404",
	} {
		f, status := clean.Open([]byte(path), proto.Codings{}, new(proto.Access))
		got := string(proto.AppendStatusLine(nil, status)[9:12])
		if status == proto.StatusOK {
			body := make([]byte, f.Size())
			if _, err := unix.Pread(f.Fd(), body, 0); err != nil {
				t.Fatal(err)
			}
			got = string(body)
			f.Close()
		}
		if got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}
