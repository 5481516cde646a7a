package website

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// swapped creates a directory with two releases and a followed link to the first. It returns a
// function that points the link to the second and waits until that is current.
func swapped(t *testing.T) (*site.Releases, func()) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"1", "2"} {
		write(t, filepath.Join(dir, name, "page"), "of release "+name)
	}
	base := filepath.Join(dir, "current")
	lead := func(to string) {
		if err := os.Symlink(to, base+".next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(base+".next", base); err != nil {
			t.Fatal(err)
		}
	}
	lead("1")
	first, err := site.Open(base, site.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 1)
	all := site.Follow(first, nil, func(site.News) { changed <- struct{}{} })
	t.Cleanup(all.Close)
	return all, func() {
		lead("2")
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatal("the base is not followed")
		}
	}
}

func page(t *testing.T, s conn.Site) string {
	t.Helper()
	f, status := s.Open([]byte("/page"), proto.Codings{}, &proto.Access{})
	if f == nil {
		t.Fatalf("status %d", status)
	}
	defer f.Close()
	if f.Body() != nil {
		return string(f.Body())
	}
	text := make([]byte, f.Size())
	file, err := os.Open("/proc/self/fd/" + strconv.Itoa(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n, _ := file.ReadAt(text, 0)
	return string(text[:n])
}

// changingSite returns a site with a followed base, with or without a file cache.
func changingSite(all *site.Releases, cached bool) conn.Sites {
	files := Uncached
	if cached {
		first := site.NewCache(all.Current(), time.Hour, 100)
		files = func(root *site.Root) conn.Site { return Cached(root, first.Share(root)) }
	}
	return &changing{all: all, files: files}
}

// An exchange keeps its release until its end, while the next ones have another.
func TestReleases(t *testing.T) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprint("cached ", cached), func(t *testing.T) {
			all, swap := swapped(t)
			s := changingSite(all, cached)
			old, _ := s.Find(nil)
			again, _ := s.Find(nil)
			if page(t, old) != "of release 1" || old != again {
				t.Fatalf("%q", page(t, old))
			}
			s.Done(again, 0)
			swap()
			next, _ := s.Find(nil)
			if page(t, next) != "of release 2" || page(t, old) != "of release 1" {
				t.Errorf("%q, and for the previous exchange %q", page(t, next), page(t, old))
			}
			s.Done(next, 0)
			s.Done(old, 0)
			last, _ := s.Find(nil)
			if page(t, last) != "of release 2" {
				t.Errorf("%q", page(t, last))
			}
			s.Done(last, 0)
		})
	}
}

// Finding a release allocates nothing.
func TestReleasesAllocateNothing(t *testing.T) {
	all, _ := swapped(t)
	s := changingSite(all, true)
	if n := testing.AllocsPerRun(100, func() {
		found, number := s.Find(nil)
		s.Done(found, number)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Each of several sites follows its own releases.
func TestFollowedSites(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain", "a/1", "a/2"} {
		write(t, filepath.Join(dir, name, "page"), "of "+name)
	}
	link := filepath.Join(dir, "a/current")
	if err := os.Symlink("1", link); err != nil {
		t.Fatal(err)
	}
	o := parse(t, "--base", filepath.Join(dir, "plain"), "--site", "a.example="+link)
	sites, err := OpenSites(o)
	if err != nil {
		t.Fatal(err)
	}
	defer sites.Close()
	if sites.Roots[0].Follows() || !sites.Roots[1].Follows() {
		t.Fatal("the site whose base is a link is not followed")
	}
	changed := make(chan struct{}, 1)
	defer sites.Follow(1, o, func(site.News) { changed <- struct{}{} }).Close()
	var cfg conn.Config
	sites.Configure(&cfg, Uncached)
	shows := func(host, want string) {
		t.Helper()
		s, number := cfg.Sites.Find([]byte(host))
		if got := page(t, s); got != want {
			t.Errorf("%s shows %q, want %q", host, got, want)
		}
		cfg.Sites.Done(s, number)
	}
	shows("other.example", "of plain")
	shows("a.example", "of a/1")
	if err := os.Symlink("2", link+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("the site is not followed")
	}
	shows("other.example", "of plain")
	shows("a.example", "of a/2")
}
