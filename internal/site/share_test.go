package site

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// sharesOf creates a directory with files, and a root of some of its paths.
func sharesOf(t *testing.T, names ...string) *Root {
	t.Helper()
	dir := planted(t, "photos/deep/", "elsewhere/")
	for _, name := range []string{"movie.mkv", "other.txt", "photos/a.jpg", "photos/deep/b.jpg", "elsewhere/real.iso"} {
		plant(t, dir, name+": "+name)
	}
	plant(t, dir, "link.iso -> elsewhere/real.iso", "photos/out -> ../other.txt")
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	r, err := OpenShares(paths, Policy{List: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// A share serves what was shared, under its own name, and nothing else.
func TestShares(t *testing.T) {
	for _, old := range []bool{false, true} {
		r := sharesOf(t, "movie.mkv", "photos", "link.iso")
		if old {
			for _, s := range r.shares {
				var err error
				if s.root.root, err = os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", s.root.dir)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for path, want := range map[string]string{
			"/movie.mkv": "movie.mkv", "/photos/a.jpg": "photos/a.jpg", "/photos/deep/b.jpg": "photos/deep/b.jpg", "/link.iso": "elsewhere/real.iso",
			"/": "403", "/photos": "301", "/photos/": "403", "/movie.mkv/": "404", "/movie.mkv/x": "404", "/other.txt": "404",
			"/elsewhere/real.iso": "404", "/photos/out": "403", "/photos/../other.txt": "404", "/photos/nope": "404",
		} {
			if got := opened(r, path); got != want {
				t.Errorf("old %v: %s is %s, want %s", old, path, got, want)
			}
		}
		if list := jsonListing(t, r, "/"); !strings.Contains(list, `{"name":"photos","type":"directory"`) ||
			!strings.Contains(list, `{"name":"movie.mkv","type":"file","size":9,`) || !strings.Contains(list, `{"name":"link.iso","type":"file","size":18,`) || strings.Contains(list, "other") {
			t.Errorf("the shares are listed as %s", list)
		}
		if list := jsonListing(t, r, "/photos/"); !strings.Contains(list, "deep") || strings.Contains(list, "out") {
			t.Errorf("a shared directory is listed as %s", list)
		}
	}
}

// Links in a shared directory are followed only if the policy follows any.
func TestSharedLinks(t *testing.T) {
	dir := planted(t, "file: file", "photos/", "photos/a.jpg: a", "photos/link -> a.jpg")
	for links, want := range map[Symlinks]string{LinksInside: "a", LinksBeneath: "a", LinksNone: "403"} {
		r, err := OpenShares([]string{dir + "/file", dir + "/photos"}, Policy{List: true, Symlinks: links})
		if err != nil {
			t.Fatal(err)
		}
		if file, photo, link := opened(r, "/file"), opened(r, "/photos/a.jpg"), opened(r, "/photos/link"); file != "file" || photo != "a" || link != want {
			t.Errorf("%d: %s, %s and by a link %s, want %s", links, file, photo, link, want)
		}
		if list := jsonListing(t, r, "/photos/"); strings.Contains(list, `"link"`) != (want == "a") {
			t.Errorf("%d: %s", links, list)
		}
		r.Close()
	}
}

// opened returns what a path leads to: the content of a file, or a status.
func opened(r *Root, path string) string {
	f, status := r.Open([]byte(path), proto.Codings{}, new(proto.Access))
	if status != proto.StatusOK {
		return string(proto.AppendInt(nil, "", int64(status))[:3])
	}
	defer f.Close()
	text := make([]byte, f.Size())
	n, _ := unix.Pread(f.Fd(), text, 0)
	return string(text[:n])
}

func TestOpenSharesMissing(t *testing.T) {
	if _, err := OpenShares([]string{"/nope/at/all"}, Policy{}); err == nil || !strings.Contains(err.Error(), `share "/nope/at/all"`) {
		t.Error(err)
	}
}

// A shared file may be readable although its directory is not, and vice versa.
func TestUnreadable(t *testing.T) {
	for name, c := range map[string]struct {
		dir, file os.FileMode // the same for everybody
		shared    string      // "": the root is the directory
		want      bool
	}{
		"a directory":          {0o555, 0, "", false},
		"a private directory":  {0, 0o444, "", true},
		"a shared directory":   {0o555, 0, ".", false},
		"a file":               {0o111, 0o444, "file", false},
		"a private file":       {0o555, 0, "file", true},
		"in a private place":   {0, 0o444, "file", true},
		"a private shared one": {0o111, 0o444, ".", true},
	} {
		dir := filepath.Join(t.TempDir(), "dir")
		file := filepath.Join(dir, "file")
		if os.Mkdir(dir, 0o755) != nil || os.WriteFile(file, nil, 0o644) != nil {
			t.Fatal("write")
		}
		r, err := Open(dir, Policy{})
		if c.shared != "" && err == nil {
			r.Close()
			r, err = OpenShares([]string{filepath.Join(dir, c.shared)}, Policy{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if os.Chmod(file, c.file) != nil || os.Chmod(dir, c.dir) != nil {
			t.Fatal("chmod")
		}
		got := make(chan bool)
		go func() {
			runtime.LockOSThread() // the thread ends with this goroutine
			if os.Geteuid() == 0 {
				if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); e != 0 {
					t.Error(e)
				}
			}
			got <- r.Unreadable()
		}()
		if got := <-got; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		r.Close()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
