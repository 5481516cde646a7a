package site

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/systest"
)

// swap points a link to another target in one step.
func swap(t *testing.T, link, target string) {
	t.Helper()
	err := os.Symlink(target, link+".next")
	if err == nil {
		err = os.Rename(link+".next", link)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// plantReleases creates releases 1 to 3, each with its own page, rules and mark.
func plantReleases(t *testing.T) (dir string) {
	t.Helper()
	dir = inMemoryDir(t)
	for n := 1; n <= 3; n++ {
		plant(t, dir, fmt.Sprintf("releases/%d/", n), fmt.Sprintf("releases/%d/page.txt: %d", n, n), fmt.Sprintf("releases/%d/_headers: /*\n  X-Release: %d\n", n, n))
	}
	return dir
}

// newsOf collects what releases report.
type newsOf struct {
	mu  sync.Mutex
	all []string
}

func (n *newsOf) tell(news News) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprint(news.Kind, " ", news.Root.Name(), " ", news.Err))
}

func (n *newsOf) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.all, "\n")
}

func followed(t *testing.T, base string, policy Policy) (*Releases, *newsOf) {
	t.Helper()
	root, err := Open(base, policy)
	if err != nil {
		t.Fatal(err)
	}
	if !root.Follows() {
		t.Fatalf("%s is not followed", base)
	}
	if err := root.ReadRules(nil); err != nil {
		t.Fatal(err)
	}
	news := new(newsOf)
	rs := Follow(root, nil, news.tell)
	t.Cleanup(rs.Close)
	return rs, news
}

// page returns the page of the current release.
func (rs *Releases) page(t *testing.T) string {
	t.Helper()
	r := rs.Acquire()
	defer rs.Release(r)
	text, _ := fetch(t, r, "/page.txt", proto.Codings{})
	return text
}

// Whatever links the base leads through, the release at its end is served.
func TestReleases(t *testing.T) {
	for name, test := range map[string]struct {
		base  string
		next  func(t *testing.T, dir string, n int) // makes the base lead to the next release
		links Symlinks
	}{
		"relative": {base: "current", next: func(t *testing.T, dir string, n int) { swap(t, dir+"/current", fmt.Sprintf("releases/%d", n)) }},
		"absolute": {base: "current", next: func(t *testing.T, dir string, n int) { swap(t, dir+"/current", fmt.Sprintf("%s/releases/%d", dir, n)) }},
		"up":       {base: "releases/current", next: func(t *testing.T, dir string, n int) { swap(t, dir+"/releases/current", fmt.Sprintf("./x/../%d/", n)) }},
		"chain": {base: "current", next: func(t *testing.T, dir string, n int) {
			swap(t, dir+"/latest", fmt.Sprintf("releases/%d", n))
			swap(t, dir+"/current", "latest")
		}},
		"in the middle": {base: "middle/1", next: func(t *testing.T, dir string, n int) {
			if err := os.MkdirAll(fmt.Sprintf("%s/m%d", dir, n), 0o755); err != nil {
				t.Fatal(err)
			}
			os.Rename(fmt.Sprintf("%s/releases/%d", dir, n), fmt.Sprintf("%s/m%d/1", dir, n))
			swap(t, dir+"/middle", fmt.Sprintf("m%d", n))
		}},
		"kubernetes": {base: "releases", next: func(t *testing.T, dir string, n int) { swap(t, dir+"/releases/..data", fmt.Sprint(n)) }},
		"renamed": {base: "www", links: LinksBeneath, next: func(t *testing.T, dir string, n int) {
			how := uint(unix.RENAME_EXCHANGE) // between two renames the base leads nowhere, which may be reported
			if n == 1 {
				how = 0 // there is none yet
			}
			if err := unix.Renameat2(unix.AT_FDCWD, fmt.Sprintf("%s/releases/%d", dir, n), unix.AT_FDCWD, dir+"/www", how); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := plantReleases(t)
			os.Mkdir(dir+"/releases/x", 0o755)
			test.next(t, dir, 1)
			rs, news := followed(t, filepath.Join(dir, test.base), Policy{Rules: true, Symlinks: test.links})
			if page := rs.page(t); page != "1" {
				t.Fatalf("%q at first", page)
			}
			for n := 2; n <= 3; n++ {
				test.next(t, dir, n)
				systest.Await(t, "the next release", func() bool { return rs.page(t) == fmt.Sprint(n) })
				if _, headers := rs.Current().Rules().Size(); headers != 1 {
					t.Errorf("release %d has %d rules", n, headers)
				}
			}
			systest.Await(t, "two reports", func() bool { return strings.Count(news.String(), "\n") > 0 })
			if lines := strings.Split(news.String(), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "0 ") || !strings.HasSuffix(lines[1], " <nil>") {
				t.Errorf("reported:\n%s", news)
			}
		})
	}
}

// A base without a link, or one that leads out, is a directory like any other.
func TestNotFollowed(t *testing.T) {
	outside := t.TempDir()
	plant(t, outside, "home/", "www/", "home/plain/", "home/out -> ../www", "home/abs -> "+outside+"/www", "home/link -> plain")
	for _, base := range []string{"home/plain", "home/out", "home/abs"} {
		r := openWith(t, filepath.Join(outside, base), Policy{})
		if r.Follows() || len(r.Directories()) != 1 || r.Directories()[0] != r.dir {
			t.Errorf("%s is followed", base)
		}
	}
	r := openWith(t, filepath.Join(outside, "home/out"), Policy{Symlinks: LinksBeneath})
	if !r.Follows() || r.Name() != "www" {
		t.Errorf("home/out with links beneath: followed is %v, name %q; want www, followed", r.Follows(), r.Name())
	}
}

// If the releases are in a directory of their own, the sandbox needs no other one.
func TestSandboxOfReleases(t *testing.T) {
	dir := plantReleases(t)
	plant(t, dir, "flat -> releases", "sub -> releases/1", "releases/..data -> 1")
	same := func(fd int, path string) bool {
		var a, b unix.Stat_t
		return fstat(fd, &a) == nil && unix.Stat(path, &b) == nil && a.Ino == b.Ino
	}
	for _, tt := range []struct {
		base, reach string
		links       Symlinks
	}{
		{"sub", "releases", LinksInside}, {"sub", ".", LinksBeneath}, {"flat", "releases", LinksInside}, {"flat", "releases", LinksBeneath},
	} {
		r := openWith(t, filepath.Join(dir, tt.base), Policy{Symlinks: tt.links})
		if !same(r.Directories()[0], filepath.Join(dir, tt.reach)) || len(r.Directories()) != 1 {
			t.Errorf("%s, mode %d: want %s", tt.base, tt.links, tt.reach)
		}
	}
}

// A base that leads to nothing, or out, or to a release with invalid rules, changes nothing. That
// is reported once, and so is the recovery.
func TestStaleBase(t *testing.T) {
	for name, bad := range map[string]struct{ target, reason string }{
		"dangling": {"releases/9", "no such file"},
		"outside":  {"../..", "leads out"},
		"loop":     {"current", "too many"},
		"a file":   {"releases/1/page.txt", "not a directory"},
		"rules":    {"releases/bad", "_redirects"},
		"fallback": {"releases/bare", "app.html"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := plantReleases(t)
			plant(t, dir, "releases/bad/", "releases/bad/_redirects: /a /b 999\n", "releases/bad/app.html: A", "releases/bare/")
			for n := 1; n <= 3; n++ {
				plant(t, dir, fmt.Sprintf("releases/%d/app.html: A", n))
			}
			swap(t, dir+"/current", "releases/1")
			rs, news := followed(t, dir+"/current", Policy{Rules: true, Fallback: "app.html"})
			swap(t, dir+"/current", bad.target)
			systest.Await(t, "the error", func() bool { return news.String() != "" })
			if text := news.String(); !strings.HasPrefix(text, "0 releases/1 ") || !strings.Contains(text, bad.reason) || rs.page(t) != "1" {
				t.Errorf("reported %s, page %s", text, rs.page(t))
			}
			swap(t, dir+"/current", "releases/1")
			systest.Await(t, "the recovery", func() bool { return strings.HasSuffix(news.String(), "\n1 releases/1 <nil>") })
			swap(t, dir+"/current", bad.target)
			systest.Await(t, "the error", func() bool { return strings.Count(news.String(), "\n") == 2 })
			swap(t, dir+"/current", "releases/2")
			systest.Await(t, "the next release", func() bool { return rs.page(t) == "2" })
		})
	}
}

// A failure is reported again only after a minute.
func TestFailureIsReportedOnceAMinute(t *testing.T) {
	var now time.Time
	n := 0
	rs := &Releases{tell: func(News) { n++ }}
	for second := range 150 {
		now = time.Unix(int64(1000+second), 0)
		rs.fail(errors.New("why"), now)
	}
	if n != 3 {
		t.Errorf("%d reports in 150 seconds", n)
	}
}

// A release stays open as long as it is used, and no longer.
func TestOldRelease(t *testing.T) {
	dir := plantReleases(t)
	swap(t, dir+"/current", "releases/1")
	rs, _ := followed(t, dir+"/current", Policy{})
	with := descriptors(t)
	old := rs.Acquire()
	swap(t, dir+"/current", "releases/2")
	systest.Await(t, "the next release", func() bool { return rs.page(t) == "2" })
	if err := os.RemoveAll(dir + "/releases/3"); err != nil {
		t.Fatal(err)
	}
	if text, _ := fetch(t, old, "/page.txt", proto.Codings{}); text != "1" || descriptors(t) <= with {
		t.Errorf("the old release: %q, %d descriptors, want %d as before", text, descriptors(t), with)
	}
	rs.Release(old)
	systest.Await(t, "its end", func() bool { return descriptors(t) <= with })
}

// Changed rules of a later release are read again.
func TestRulesOfLaterRelease(t *testing.T) {
	dir := plantReleases(t)
	swap(t, dir+"/current", "releases/1")
	rs, news := followed(t, dir+"/current", Policy{Rules: true})
	swap(t, dir+"/current", "releases/2")
	systest.Await(t, "the next release", func() bool { return rs.page(t) == "2" })
	plant(t, dir, "releases/2/_redirects: /a /b\n")
	systest.Await(t, "its new rules", func() bool { n, _ := rs.Current().Rules().Size(); return n == 1 })
	systest.Await(t, "the report", func() bool { return strings.HasSuffix(news.String(), "\n2 releases/2 <nil>") })
}

// While a base is swapped, goroutines acquire and release releases: none is closed while in use.
func TestReleasesUnderLoad(t *testing.T) {
	dir := plantReleases(t)
	swap(t, dir+"/current", "releases/1")
	rs, _ := followed(t, dir+"/current", Policy{})
	stop := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if page := rs.page(t); page == "" {
					t.Error("a release in use was closed")
					return
				}
			}
		})
	}
	for _, n := range []string{"2", "3", "1"} {
		swap(t, dir+"/current", "releases/"+n)
		systest.Await(t, "the next release", func() bool { return rs.page(t) == n })
	}
	close(stop)
	work.Wait()
}

// A base is followed in whatever form its path is given.
func TestRelativeBase(t *testing.T) {
	dir := plantReleases(t)
	swap(t, dir+"/current", "releases/1")
	t.Chdir(dir + "/releases")
	for base, name := range map[string]string{"../current": "releases/1", "../releases/../current/": "releases/1", ".": "", "1": "", "2/..": ""} {
		r := openWith(t, base, Policy{})
		if r.Name() != name || r.Follows() != (name != "") {
			t.Errorf("%s: %q", base, r.Name())
		}
	}
}
