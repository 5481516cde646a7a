package site

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// secret is the content of a file outside the root.
const secret = "what nobody may see"

// plant creates a tree below a directory: "a/" is a directory, "a -> b" a symbolic link, "a: text" a
// file.
func plant(t testing.TB, dir string, tree ...string) {
	t.Helper()
	for _, line := range tree {
		name, target, link := strings.Cut(line, " -> ")
		var err error
		switch {
		case link:
			err = os.Symlink(target, filepath.Join(dir, name))
		case strings.HasSuffix(line, "/"):
			err = os.MkdirAll(filepath.Join(dir, line), 0o755)
		default:
			name, text, _ := strings.Cut(line, ": ")
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// planted is plant in a new directory.
func planted(t testing.TB, tree ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	plant(t, dir, tree...)
	return dir
}

// bothWays runs a test with openat2 and with its substitute.
func bothWays(t *testing.T, dir string, test func(t *testing.T, r *Root)) {
	t.Helper()
	t.Run("openat2", func(t *testing.T) { test(t, openRoot(t, dir)) })
	t.Run("os.Root", func(t *testing.T) { test(t, openFallback(t, dir)) })
}

func openFallback(t testing.TB, dir string) *Root {
	t.Helper()
	r := openRoot(t, dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	r.root = root // closed with r
	return r
}

// fetch opens the path and returns the file's content.
func fetch(t testing.TB, r *Root, path string, codings proto.Codings) (string, proto.Status) {
	t.Helper()
	f, status := r.Open([]byte(path), codings, new(proto.Access))
	if (status == proto.StatusOK) != (f != nil) {
		t.Errorf("%q: status %d, file %v", path, status, f)
	}
	if f == nil {
		return "", status
	}
	defer f.Close()
	return contents(t, f), status
}

func contents(t testing.TB, f *File) string {
	t.Helper()
	buf := make([]byte, f.Size()+1)
	n, err := unix.Pread(f.Fd(), buf, 0)
	if err != nil || int64(n) != f.Size() {
		t.Errorf("size %d, but %d bytes: %v", f.Size(), n, err)
	}
	return string(buf[:n])
}

var openings = []struct {
	name, path string
	status     proto.Status
	want       string
}{
	{"the root", "/", 200, "home"},
	{"empty", "", 200, "home"},
	{"file", "/a.txt", 200, "A"},
	{"empty file", "/zero", 200, ""},
	{"9110-4.2.3 encoded", "/%61%2e%74xt", 200, "A"},
	{"doubled slashes", "//dir///b%20c.txt", 200, "BC"},
	{"UTF-8 encoded", "/%C3%A4.txt", 200, "UTF"},
	{"UTF-8 raw", "/ä.txt", 200, "UTF"},
	{"encoded percent", "/per%25cent", 200, "P"},
	{"encoded question mark", "/q%3F.txt", 200, "Q"},
	{"backslash is a letter", "/back%5Cslash", 200, "B"},
	{"directory with index", "/dir/", 200, "D"},
	{"directory without its slash", "/dir", 301, ""},
	{"directory behind doubled slashes", "//dir", 301, ""},
	{"directory without index", "/empty/", 403, ""},
	{"index that is a directory", "/no/", 403, ""},
	{"not there", "/nope", 404, ""},
	{"not there, with slash", "/nope/", 404, ""},
	{"file with a slash", "/a.txt/", 404, ""},
	{"below a file", "/a.txt/b", 404, ""},
	{"3986-2.1 percent at the end", "/a%", 400, ""},
	{"3986-2.1 percent with one digit", "/a%4", 400, ""},
	{"3986-2.1 percent with no digits", "/a%zz", 400, ""},
	{"3986-5.2.4 dot", "/./a.txt", 200, "A"},
	{"3986-5.2.4 encoded dot", "/dir/%2E/..a", 404, ""},
	{"3986-5.2.4 dot at the end", "/dir/.", 200, "D"},
	{"3986-5.2.4 dots", "/dir/../a.txt", 404, ""},
	{"3986-5.2.4 dots at the end", "/dir/..", 404, ""},
	{"encoded dots", "/dir/%2e%2E/a.txt", 404, ""},
	{"encoded slash", "/dir%2fb%20c.txt", 404, ""},
	{"NUL", "/a.txt%00", 404, ""},
	{"NUL and another name", "/a.txt%00.html", 404, ""},
	{"encoded twice", "/%2561.txt", 404, ""},
	{"symbolic link", "/inside", 200, "A"},
	{"symbolic link upwards, but inside", "/dir/up", 200, "A"},
	{"chain of links", "/chain", 200, "A"},
	{"link with dots, inside", "/dot", 200, "A"},
	{"link to a directory", "/dirlink/", 200, "D"},
	{"through a link to a directory", "/dirlink/b%20c.txt", 200, "BC"},
	{"link to a directory without its slash", "/dirlink", 301, ""},
	{"absolute link that ends inside", "/absolute", 200, "A"},
	{"absolute link", "/etc", 403, ""},
	{"link outside", "/escape", 403, ""},
	{"link outside from below", "/dir/deep", 403, ""},
	{"link out and in again", "/back", 403, ""},
	{"link to the parent", "/parent", 403, ""},
	{"through a link to the parent", "/parent/secret.txt", 403, ""},
	{"link to itself", "/loop", 403, ""},
	{"links in a circle", "/ping", 403, ""},
	{"link to nothing", "/dangling", 404, ""},
	{"link into proc", "/self", 403, ""},
}

func TestOpen(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "root")
	plant(t, outside, "root/", "secret.txt: "+secret, "other/")
	plant(t, dir, "index.html: home", "a.txt: A", "dir/", "dir/index.html: D", "dir/b c.txt: BC", "empty/", "no/", "no/index.html/",
		"ä.txt: UTF", "per%cent: P", "zero: ", "q?.txt: Q", "inside -> a.txt", "dir/up -> ../a.txt", "dirlink -> dir",
		"chain -> inside", "dot -> ./dir/../a.txt", "absolute -> "+dir+"/a.txt", "etc -> /etc/passwd", "escape -> ../secret.txt",
		"parent -> ..", "back -> ../root/a.txt", "dir/deep -> ../../secret.txt", "loop -> loop", "ping -> pong", "pong -> ping",
		"dangling -> nowhere", "self -> /proc/self/exe", "back\\slash: B")
	bothWays(t, dir, func(t *testing.T, r *Root) {
		for _, tt := range openings {
			t.Run(tt.name, func(t *testing.T) {
				got, status := fetch(t, r, tt.path, proto.Codings{})
				if status != tt.status || got != tt.want {
					t.Errorf("%q: %d %q, want %d %q", tt.path, status, got, tt.status, tt.want)
				}
			})
		}
	})
}

// The longest path that the kernel accepts is found, a longer one is not.
func TestOpenLongPaths(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("n", unix.NAME_MAX)
	plant(t, dir, name+": N", "index.html: home")
	bothWays(t, dir, func(t *testing.T, r *Root) {
		if got, status := fetch(t, r, "/"+name, proto.Codings{}); got != "N" {
			t.Errorf("longest name: %d %q", status, got)
		}
		for n := unix.PathMax - 300; n < unix.PathMax+300; n++ {
			for _, path := range []string{strings.Repeat("/a", n/2), "/" + strings.Repeat("a", n), strings.Repeat("/%61", n), strings.Repeat("a/", n/2)} {
				if _, status := fetch(t, r, path, proto.Codings{}); status != proto.StatusNotFound {
					t.Fatalf("path of %d bytes: %d", len(path), status)
				}
			}
		}
		if got, status := fetch(t, r, strings.Repeat("/", 8000), proto.Codings{}); got != "home" {
			t.Errorf("slashes: %d %q", status, got)
		}
	})
}

// Anything but a regular file is refused at once.
func TestOpenSpecial(t *testing.T) {
	dir := t.TempDir()
	want := map[string]proto.Status{"/fifo": 403, "/socket": 404, "/null": 403, "/fifo.html": 403}
	for _, name := range []string{"/fifo", "/fifo.html"} {
		if err := unix.Mkfifo(dir+name, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: dir + "/socket"}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(dir+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		delete(want, "/null") // it takes a privilege
	}
	bothWays(t, dir, func(t *testing.T, r *Root) {
		for path, status := range want {
			began := time.Now()
			if _, got := fetch(t, r, path, proto.Codings{}); got != status {
				t.Errorf("%s: %d, want %d", path, got, status)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("%s took %v", path, took)
			}
		}
	})
}

func TestOpenWithoutPermission(t *testing.T) {
	dir := planted(t, "closed.txt: "+secret, "shut/", "shut/a.txt: "+secret, "shut/index.html: "+secret, "open.txt: O",
		"search/", "search/a.txt: A", "search/sub/", "found/", "found/index.html: F", "link -> search", "closed -> closed.txt")
	for name, mode := range map[string]os.FileMode{"": 0o755, "closed.txt": 0, "shut": 0, "search": 0o711, "found": 0o711,
		"open.txt": 0o644, "search/a.txt": 0o644, "search/sub": 0o755, "found/index.html": 0o644, // whatever the umask is
	} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	bothWays(t, dir, func(t *testing.T, r *Root) {
		if os.Getuid() == 0 {
			// Permissions do not apply to root. The user that the file system
			// checks is that of the thread.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			const nobody = 65534
			unix.SetfsuidRetUid(nobody)
			defer unix.SetfsuidRetUid(0)
		}
		for path, want := range map[string]proto.Status{
			"/closed.txt": 403, "/shut": 301, "/shut/": 403, "/shut/a.txt": 403, "/shut/nope": 403, "/open.txt": 200,
			"/search": 301, "/search/": 403, "/search/a.txt": 200, "/search/nope": 404, "/search/sub": 301, "/search/sub/": 403,
			"/found": 301, "/found/": 200, "/link": 301, "/link/": 403, "/closed": 403,
		} {
			if r.root != nil && (strings.HasPrefix(path, "/search/") || path == "/found/" || path == "/link/") {
				want = 403 // os.Root opens each directory on the way for reading
			}
			if _, got := fetch(t, r, path, proto.Codings{}); got != want {
				t.Errorf("9110-15.5.4: %s: %d, want %d", path, got, want)
			}
		}
		r.policy.List = true
		if _, status := r.List([]byte("/search/"), nil, false, new(proto.Access)); status != proto.StatusForbidden {
			t.Errorf("an unreadable directory is listed: %d", status)
		}
		list := page(t, r, "/")
		for _, name := range []string{"search", "link", "shut", "closed.txt", "closed"} {
			if !strings.Contains(list, "<bdi>"+name+"</bdi>") {
				t.Errorf("%s is not listed:\n%s", name, list)
			}
		}
	})
	os.Chmod(filepath.Join(dir, "shut"), 0o755)
}

func TestStatusOf(t *testing.T) {
	tests := []struct {
		err  error
		want proto.Status
	}{
		{unix.ENOENT, 404}, {unix.ENOTDIR, 404}, {unix.ENAMETOOLONG, 404}, {unix.ENXIO, 404},
		{unix.EACCES, 403}, {unix.EPERM, 403}, {unix.ELOOP, 403}, {unix.EXDEV, 403}, {errDirectory, 403}, {errSpecial, 403},
		{unix.EMFILE, 503}, {unix.ENFILE, 503}, {unix.ENOMEM, 503}, {unix.EAGAIN, 503},
		{unix.EIO, 500}, {unix.EINVAL, 500},
		{fmt.Errorf("open: %w", unix.ENOENT), 404},
		{&os.PathError{Op: "openat", Path: "a", Err: unix.EACCES}, 403},
	}
	for _, tt := range tests {
		if got := statusOf(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestOpenRootErrors(t *testing.T) {
	dir := planted(t, "file: x")
	for _, name := range []string{dir + "/nope", dir + "/file"} {
		r, err := Open(name, Policy{})
		if err == nil {
			r.Close()
			t.Errorf("%s is opened", name)
		} else if !strings.HasPrefix(err.Error(), "open root ") {
			t.Errorf("%v", err)
		}
	}
}

// Metadata is that of the opened file, and a closed file is not reused.
func TestFileMetadata(t *testing.T) {
	dir := planted(t, "a.html: <p>", "b.bin: "+strings.Repeat("b", 1000))
	when := time.Unix(784111777, 123456789)
	if err := os.Chtimes(dir+"/a.html", when, when); err != nil {
		t.Fatal(err)
	}
	bothWays(t, dir, func(t *testing.T, r *Root) {
		f, _ := r.Open([]byte("/a.html"), proto.Codings{}, new(proto.Access))
		if f.Size() != 3 || f.Modified() != (proto.Time{Sec: when.Unix(), Nsec: 123456789}) || f.ContentType() != "text/html; charset=utf-8" ||
			f.Coding() != proto.Identity || !f.varies {
			t.Errorf("%+v", f)
		}
		f.Close()
		g, _ := r.Open([]byte("/b.bin"), proto.Codings{}, new(proto.Access))
		if g.Size() != 1000 || g.ContentType() != binary || g.varies {
			t.Errorf("%+v", g)
		}
		if !bytes.Equal([]byte(contents(t, g)), bytes.Repeat([]byte("b"), 1000)) {
			t.Error("the content differs")
		}
		g.Close()
	})
}

// Times before 1970 and after 2262 are those of the file system, and are compared correctly.
func TestTimesAtTheEdge(t *testing.T) {
	dir := planted(t, "a.js: A", "a.js.br: br", "b.js: B", "b.js.br: br", "c.js: C")
	set := func(name string, sec, nsec int64) {
		t.Helper()
		at := unix.Timespec{Sec: sec, Nsec: nsec}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/"+name, []unix.Timespec{at, at}, 0); err != nil {
			t.Fatal(err)
		}
	}
	const year2261, year2300 = 9183110400, 10413792000 // every file system but those of 32 bits has both
	set("a.js", year2261, 0)
	set("a.js.br", year2300, 1)
	set("b.js", year2300, 2)
	set("b.js.br", year2300, 1)
	set("c.js", -1, 500000000)
	bothWays(t, dir, func(t *testing.T, r *Root) {
		for path, want := range map[string]struct {
			at     proto.Time
			coding proto.Coding
		}{
			"/a.js": {proto.Time{Sec: year2300, Nsec: 1}, proto.Brotli},
			"/b.js": {proto.Time{Sec: year2300, Nsec: 2}, proto.Identity},
			"/c.js": {proto.Time{Sec: -1, Nsec: 500000000}, proto.Identity},
		} {
			f, status := r.Open([]byte(path), accepting(t, "br"), new(proto.Access))
			if status != proto.StatusOK {
				t.Fatal(status)
			}
			if f.Modified() != want.at || f.Coding() != want.coding {
				t.Errorf("%s: %v in %d, want %v in %d", path, f.Modified(), f.Coding(), want.at, want.coding)
			}
			f.Close()
		}
	})
}
