package site

import (
	"os"
	"slices"
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// What a root says of its decisions; with openat2 and with what stands in for
// it, but for what only one of them can know.
func TestExplain(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "a.html: A", "a.html.br: br", "dir/", "dir/b.txt: B", "in.txt -> dir/b.txt", "out -> /etc", ".hid: h", "bin: b", "x.odd: x")
	tests := []struct{ path, accept, want string }{
		{"/a.html", "br", `path: "/a.html" is the name "a.html" beneath the base`},
		{"/a.html", "br", `Content-Type:: the type of the extension ".html"`},
		{"/a.html", "br", `coding: br lies ready`},
		{"/a.html", "gzip", `coding: none that the client takes lies ready: the file is sent as it is`},
		{"/", "", `file: the path ends with a slash: the index index.html stands for its directory`},
		{"/dir/", "", `file: a directory without an index is shown with --list alone`},
		{"/dir", "", `file: "dir" is a directory`},
		{"/bin", "", `Content-Type:: "bin" has no extension; a browser saves this type and never guesses at it`},
		{"/x.odd", "", `Content-Type:: the extension ".odd" is not known; a browser saves this type and never guesses at it`},
		{"/bin", "", `coding: none is looked for: files of this type are not worth compressing`},
		{"/nope", "", `file: "nope": no such file or directory`},
		{"/out/passwd", "", `file: "out/passwd" would lead out of the base; "out" is a symbolic link to "/etc", and only relative ones that stay beneath the base are followed`},
		{"/.hid", "", `path: the element ".hid" begins with a dot and is hidden without --dotfiles`},
		{"/dir/..", "", `path: the element ".." would lead up or stay: it is not resolved but refused`},
		{"/%2f", "", `path: "%2F" is a slash inside an element: no name has one`},
		{"/%00", "", `path: the path has a NUL: no name has one`},
		{"/%4", "", `path: a "%" lacks its two hexadecimal digits (RFC 3986 §2.1)`},
		{"/" + strings.Repeat("a", 5000), "", `path: the path is longer than that of any file`},
	}
	bothWays(t, dir, func(t *testing.T, r *Root) {
		var said []string
		r.Explain(func(what, why string) { said = append(said, what+": "+why) })
		for _, tt := range tests {
			said = nil
			if f, status := r.Open([]byte(tt.path), accepting(t, tt.accept)); status == proto.StatusOK {
				f.Close()
			}
			if !slices.Contains(said, tt.want) {
				t.Errorf("%.40s: %s\nwant %s", tt.path, strings.Join(said, "\n"), tt.want)
			}
		}
		said = nil
		if f, status := r.Open([]byte("/in.txt"), proto.Codings{}); status == proto.StatusOK {
			f.Close()
		}
		if all := strings.Join(said, "\n"); !strings.Contains(all, `; through a symbolic link it is "dir/b.txt"`) {
			t.Error(all)
		}
	})
}

// The name of an open file is that beneath the root, and nothing of one outside.
func TestRealName(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "a/", "a/b: B")
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
