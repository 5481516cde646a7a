package site

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// A clean name has no "..", does not begin at the file system's root, contains no NUL, and stays
// the same when it is cleaned again.
func FuzzClean(f *testing.F) {
	for _, path := range traversals()[:100] {
		f.Add([]byte(path))
	}
	for _, path := range []string{"/", "", "//", "/a/b.txt", "/a//b/", "/%41%zz", "/%", "/.well-known/x", "/.hidden", "/l/.", "/l/%2e", "//l/.", "/."} {
		f.Add([]byte(path))
	}
	roots := []*Root{{}, {policy: Policy{Dotfiles: true}}}
	f.Fuzz(func(t *testing.T, path []byte) {
		for _, r := range roots {
			var space [unix.PathMax]byte
			name, status := r.clean(space[:0], path)
			if status != proto.StatusOK {
				if status != proto.StatusBadRequest && status != proto.StatusNotFound || name != nil {
					t.Fatalf("%q: %d %q", path, status, name)
				}
				continue
			}
			if len(name) >= unix.PathMax || bytes.IndexByte(name, 0) >= 0 || bytes.HasPrefix(name, []byte("/")) || bytes.Contains(name, []byte("//")) {
				t.Fatalf("%q: %q", path, name)
			}
			for element := range bytes.SplitSeq(name, []byte("/")) {
				if string(element) == "." || string(element) == ".." {
					t.Fatalf("%q: %q", path, name)
				}
			}
			if bytes.IndexByte(path, '%') < 0 {
				var more [unix.PathMax]byte
				if again, _ := r.clean(more[:0], name); string(again) != string(name) {
					t.Fatalf("%q: %q, and cleaned again %q", path, name, again)
				}
			}
		}
	})
}

// No byte from outside the root is served for any path, and both ways of opening agree.
func FuzzOpen(f *testing.F) {
	for _, path := range append(traversals()[:100], "/", "/a/", "/a", "/out/secret.txt", "/abs/secret.txt", "/a/b/c.txt") {
		f.Add([]byte(path))
	}
	dir := plantTrap(f)
	beneath, fallback := openRoot(f, dir), openFallback(f, dir)
	f.Fuzz(func(t *testing.T, path []byte) {
		got, status := fetch(t, beneath, string(path), proto.Codings{})
		if got != "" && got != "home" && got != "A" && got != "C" {
			t.Fatalf("%q: %q", path, got)
		}
		other, otherStatus := fetch(t, fallback, string(path), proto.Codings{})
		if got != other || status != otherStatus {
			t.Fatalf("%q: %d %q with openat2, %d %q with os.Root", path, status, got, otherStatus, other)
		}
	})
}

// Nothing in an area is opened, listed or archived without its credentials, for any path.
func FuzzAreas(f *testing.F) {
	for _, path := range []string{
		"/", "/private/a.html", "/private/", "/private", "/PRIVATE/a.html", "/link/a.html", "/public/up/deep/b.txt", "/public/pay.pdf", "/public/pay.pdf.br", "/only.html.gz",
		"/only", "/%6fnly.html", "/private./a.html", "//private//a.html", "/self/self/private/a.html", "/page", "/.%2fprivate", "/only.html%20", "/public/./pay.PDF",
	} {
		f.Add([]byte(path))
	}
	dir := f.TempDir()
	plant(f, dir, append(lockedTree, "link -> private", "public/up -> ../private", "self -> .", "file -> only.html")...)
	policy := Policy{
		Index: []string{"index.html"}, List: true, Clean: true, Fallback: "only.html",
		Areas: []Area{{Pattern: "private/**"}, {Pattern: "*.pdf"}, {Pattern: "Mixed"}, {Pattern: "only"}, {Pattern: "other.txt"}, {Pattern: "private"}},
	}
	var roots []*Root
	for _, open := range []func(testing.TB, string) *Root{openRoot, openFallback} {
		r := open(f, dir)
		r.policy = policy
		roots = append(roots, r)
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		for _, r := range roots {
			access := new(proto.Access)
			for _, open := range []func([]byte, proto.Codings, *proto.Access) (*File, proto.Status){r.Open, r.Fallback} {
				file, status := open(path, accepting(t, "br, gzip"), access)
				if file == nil {
					continue
				}
				if text := contents(t, file); bytes.Contains([]byte(text), []byte(secret)) {
					t.Fatalf("%q: %d %q", path, status, text)
				}
				file.Close()
			}
			if l, status := r.List(path, nil, true, access); status == proto.StatusOK {
				if prepare(l); bytes.Contains(whole(l), []byte("private")) {
					t.Fatalf("%q lists %s", path, whole(l))
				}
				l.Close()
			}
		}
	})
}
