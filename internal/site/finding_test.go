package site

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// The findings are the same with openat2 and with its substitute, except for what only one of
// them can know.
func TestFindings(t *testing.T) {
	dir := planted(t, "a.html: A", "a.html.br: br", "dir/", "dir/b.txt: B", "in.txt -> dir/b.txt", "out -> /etc", ".hid: h", "bin: b", "x.odd: x")
	tests := []struct {
		path, accept string
		want         Finding
	}{
		{"/a.html", "br", Finding{Kind: PathNamed, Path: "/a.html", Name: "a.html"}},
		{"/a.html", "br", Finding{Kind: TypeKnown, Name: "a.html"}},
		{"/a.html", "br", Finding{Kind: CodingChosen, Coding: proto.Brotli}},
		{"/a.html", "gzip", Finding{Kind: CodingMissing}},
		{"/", "", Finding{Kind: FileIndex, Name: "index.html"}},
		{"/dir/", "", Finding{Kind: FileUnlisted}},
		{"/dir", "", Finding{Kind: FileFailed, Name: "dir", Err: errDirectory}},
		{"/bin", "", Finding{Kind: TypeNoExtension, Name: "bin"}},
		{"/x.odd", "", Finding{Kind: TypeUnknown, Name: "x.odd"}},
		{"/bin", "", Finding{Kind: CodingUnneeded}},
		{"/nope", "", Finding{Kind: FileFailed, Name: "nope", Err: unix.ENOENT}},
		{"/out/passwd", "", Finding{Kind: FileFailed, Name: "out/passwd", Err: unix.EXDEV}},
		{"/.hid", "", Finding{Kind: PathHidden, Name: ".hid"}},
		{"/dir/..", "", Finding{Kind: PathUp, Name: ".."}},
		{"/%2f", "", Finding{Kind: PathSlash}},
		{"/%00", "", Finding{Kind: PathNUL}},
		{"/%4", "", Finding{Kind: PathMalformed}},
		{"/" + strings.Repeat("a", 5000), "", Finding{Kind: PathTooLong}},
	}
	bothWays(t, dir, func(t *testing.T, r *Root) {
		var found []Finding
		r.Trace(func(f Finding) {
			f.File = nil
			found = append(found, f)
		})
		for _, tt := range tests {
			found = nil
			if f, status := r.Open([]byte(tt.path), accepting(t, tt.accept), new(proto.Access)); status == proto.StatusOK {
				f.Close()
			}
			if !slices.Contains(found, tt.want) {
				t.Errorf("%.40s: %+v\nwant %+v", tt.path, found, tt.want)
			}
		}
	})
}

// A page that has a cleaner path is reported by its name.
func TestUncleanFindings(t *testing.T) {
	dir := planted(t, "about.html: A", "dir/", "dir/index.html: I")
	r := openWith(t, dir, Policy{Index: []string{"index.html"}, Clean: true})
	for path, want := range map[string]string{"/about/": "about.html", "/about.html": "about.html", "/dir/index": "dir/index.html", "/dir/index.html": "dir/index.html"} {
		var names []string
		r.Trace(func(f Finding) {
			if f.Kind == FileUnclean {
				names = append(names, f.Name)
			}
		})
		if _, status := r.Open([]byte(path), proto.Codings{}, new(proto.Access)); status != proto.StatusPermanentRedirect || !slices.Equal(names, []string{want}) {
			t.Errorf("%s: %d, the pages %q, want %q", path, status, names, want)
		}
	}
}

// The first symbolic link of a name is reported with its target.
func TestFirstLink(t *testing.T) {
	dir := planted(t, "dir/", "dir/b: B", "out -> /etc", "dir/c -> b")
	r := openRoot(t, dir)
	for name, want := range map[string][2]string{"out/passwd": {"out", "/etc"}, "dir/c": {"dir/c", "b"}, "dir/b": {}, "none/x": {}} {
		if link, target := r.FirstLink(name); link != want[0] || target != want[1] {
			t.Errorf("%s: %q to %q, want %q", name, link, target, want)
		}
	}
}

// The name of an open file is relative to the root. A file outside has none.
func TestRealName(t *testing.T) {
	dir := planted(t, "a/", "a/b: B")
	r := openRoot(t, dir)
	for path, want := range map[string]string{dir + "/a/b": "a/b", "/proc/version": "", dir + "/a": "a"} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.RealName(int(f.Fd())); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		f.Close()
	}
}
