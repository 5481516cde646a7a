package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// linked opens a base with a mode for links, with openat2 and with its substitute.
func linked(t *testing.T, base string, links Symlinks, test func(t *testing.T, r *Root)) {
	t.Helper()
	open := func(t *testing.T) *Root {
		return openWith(t, base, Policy{Index: []string{"index.html"}, List: true, Symlinks: links})
	}
	t.Run("openat2", func(t *testing.T) { test(t, open(t)) })
	t.Run("with areas", func(t *testing.T) {
		r := open(t)
		r.policy.Areas = []Area{{Pattern: "nothing/fits/**"}}
		test(t, r)
	})
	t.Run("os.Root", func(t *testing.T) {
		r := open(t)
		var err error
		if r.root, err = os.OpenRoot(base); err == nil && r.parent != nil {
			r.parent.root, err = os.OpenRoot(r.parent.paths[0])
		}
		if err != nil {
			t.Fatal(err)
		}
		test(t, r)
	})
}

// plantLinks creates a root "site" beside what releases share, both in "home", and a secret beside
// that.
func plantLinks(t *testing.T) (base string) {
	outside := t.TempDir()
	home := filepath.Join(outside, "home")
	plant(t, outside, "home/", "secret.txt: "+secret)
	plant(t, home, "site/", "shared/", "shared/s.txt: shared", "root.txt: beside", "shared/back -> ../site/a.txt", "shared/up -> ../..", "shared/tree/", "shared/tree/t.txt: tree")
	base = filepath.Join(home, "site")
	plant(t, base, "a.txt: A", "d/", "d/b.txt: B", "index.html -> d/b.txt",
		"relative -> d/b.txt", "chain -> relative", "d/up -> ../a.txt", "dir -> d",
		"absolute -> "+base+"/d/b.txt", "whole -> "+base, "mixed -> d/far", "d/far -> "+base+"/d/up",
		"shared -> ../shared", "s.txt -> ../shared/s.txt", "far.txt -> "+home+"/shared/s.txt", "round -> ../shared/back", "beside.txt -> ../root.txt",
		"out -> ../..", "out.txt -> ../../secret.txt", "abs.txt -> "+outside+"/secret.txt", "etc -> /etc/passwd", "proc -> /proc/self", "sly -> "+base+"/../../secret.txt",
		"liar -> "+base+"-too", "self -> self", "dangling -> nowhere", "d/round -> ../shared/up/secret.txt")
	plant(t, home, "site-too: "+secret)
	return base
}

// Each mode follows the links that it should, and never one that leads out.
func TestSymlinks(t *testing.T) {
	base := plantLinks(t)
	inside := map[string]string{
		"/relative": "B", "/chain": "B", "/d/up": "A", "/dir/b.txt": "B", "/dir/up": "A", "/absolute": "B",
		"/whole/a.txt": "A", "/whole/dir/b.txt": "B", "/whole/whole/relative": "B", "/mixed": "A", "/d/far": "A", "/": "B",
	}
	beneath := map[string]string{
		"/s.txt": "shared", "/far.txt": "shared", "/shared/s.txt": "shared", "/shared/tree/t.txt": "tree", "/round": "A",
		"/shared/back": "A", "/whole/shared/s.txt": "shared", "/beside.txt": "beside",
	}
	never := []string{
		"/out/secret.txt", "/out/home/site/a.txt", "/out.txt", "/abs.txt", "/etc", "/proc/environ", "/proc/root/etc/passwd", "/proc/cwd/a.txt",
		"/sly", "/self", "/self/", "/dangling", "/d/round", "/shared/up/secret.txt",
	}
	for mode, follows := range map[Symlinks][2]bool{LinksInside: {true, false}, LinksBeneath: {true, true}, LinksNone: {false, false}} {
		linked(t, base, mode, func(t *testing.T, r *Root) {
			if got, status := fetch(t, r, "/a.txt", proto.Codings{}); got != "A" {
				t.Errorf("mode %d: a file: %d %q", mode, status, got)
			}
			for i, paths := range []map[string]string{inside, beneath} {
				for path, want := range paths {
					got, status := fetch(t, r, path, proto.Codings{})
					if follows[i] && got != want || !follows[i] && (got != "" || status != proto.StatusForbidden) {
						t.Errorf("mode %d: %s: %d %q, want %q, followed: %v", mode, path, status, got, want, follows[i])
					}
				}
			}
			never := never
			if mode != LinksBeneath {
				never = append(never, "/liar")
			}
			for _, path := range never {
				if got, status := fetch(t, r, path, proto.Codings{}); got != "" || status != proto.StatusForbidden && status != proto.StatusNotFound {
					t.Errorf("mode %d: %s: %d %q", mode, path, status, got)
				}
			}
		})
	}
}

// Paths that lead out are refused in all forms and in each mode, also through links to siblings of
// the directory that contains the base.
func TestTraversalByLinks(t *testing.T) {
	for _, mode := range []Symlinks{LinksInside, LinksBeneath, LinksNone} {
		outside := planted(t, "home/", "home/root/", "secret.txt: "+secret, "other/", "other/secret.txt: "+secret)
		dir := filepath.Join(outside, "home/root")
		plant(t, dir, "index.html: home", "a/", "a/index.html: A", "a/b/", "out -> ../..", "abs -> "+outside, "secret.txt -> ../../other/secret.txt")
		linked(t, dir, mode, func(t *testing.T, r *Root) {
			for _, path := range traversals() {
				got, status := fetch(t, r, path, proto.Codings{})
				switch status {
				case proto.StatusBadRequest, proto.StatusForbidden, proto.StatusNotFound:
				default:
					t.Errorf("mode %d: %q: %d %q", mode, path, status, got)
				}
			}
		})
	}
}

// Links and directories that are exchanged during the open lead to files inside, or to nothing:
// the text of a link becomes a name that the kernel resolves like any other.
func TestSwappedLinks(t *testing.T) {
	for _, mode := range []Symlinks{LinksInside, LinksBeneath} {
		outside := t.TempDir()
		home := filepath.Join(outside, "home")
		dir := filepath.Join(home, "root")
		plant(t, outside, "home/", "home/root/", "home/shared/", "home/shared/f: inside", "f: "+secret)
		plant(t, dir, "d/", "d/f: inside", "l -> "+outside, "x/", "x/y -> "+dir+"/d", "s -> ../shared")
		linked(t, dir, mode, func(t *testing.T, r *Root) {
			underSwaps(t, dir, "d", "l", func() bool {
				for _, path := range []string{"/d/f", "/l/f", "/x/y/f", "/s/f"} {
					got, status := fetch(t, r, path, proto.Codings{})
					if got != "" && got != "inside" {
						t.Errorf("%s: %d %q", path, status, got)
					}
				}
				return true
			})
		})
	}
}

// A listing shows the links that are followed, and no others.
func TestListedLinks(t *testing.T) {
	base := plantLinks(t)
	if err := os.Remove(base + "/index.html"); err != nil { // with an index there is no list
		t.Fatal(err)
	}
	for mode, want := range map[Symlinks]map[string]bool{
		LinksInside:  {"a.txt": true, "absolute": true, "s.txt": false, "out.txt": false},
		LinksBeneath: {"a.txt": true, "absolute": true, "s.txt": true, "out.txt": false},
		LinksNone:    {"a.txt": true, "absolute": false, "s.txt": false, "out.txt": false},
	} {
		linked(t, base, mode, func(t *testing.T, r *Root) {
			list := jsonListing(t, r, "/")
			for name, shown := range want {
				if listed := strings.Contains(list, `"name":"`+name+`"`); listed != shown {
					t.Errorf("mode %d: %s is listed: %v, want %v\n%s", mode, name, listed, shown, list)
				}
			}
		})
	}
}
