package site

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// copying is a root with a directory of copies and a test's clock.
type copying struct {
	*Root
	t     *testing.T
	dir   string // of the site
	cache string
	now   time.Time
	asked []proto.Coding
	fails bool // requests for copies fail
}

func newCopying(t *testing.T) *copying {
	t.Helper()
	c := &copying{t: t, dir: t.TempDir(), cache: t.TempDir(), now: time.Now().Add(time.Minute)}
	var err error
	if c.Root, err = Open(c.dir, Policy{}); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(c.cache, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); unix.Close(fd) })
	c.Now = func() time.Time { return c.now }
	c.Copies = NewCopies(fd, func(coding proto.Coding, fd int) bool {
		if c.fails || fd < 0 {
			return false
		}
		c.asked = append(c.asked, coding)
		return true
	})
	return c
}

// write writes a file of the site, and returns its state.
func (c *copying) write(name string, size int) unix.Stat_t {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	var st unix.Stat_t
	if err := os.WriteFile(path, bytes.Repeat([]byte("a"), size), 0o644); err != nil {
		c.t.Fatal(err)
	}
	if err := unix.Stat(path, &st); err != nil {
		c.t.Fatal(err)
	}
	return st
}

// put puts a copy of a state into the cache.
func (c *copying) put(st unix.Stat_t, coding proto.Coding, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.cache, CopyName(&st, coding)), []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// gets requests a file and compares the result.
func (c *copying) gets(what, name string, codings proto.Codings, coding proto.Coding, size int64) {
	c.t.Helper()
	f, status := c.Open([]byte("/"+name), codings, fullAccess())
	if status != proto.StatusOK {
		c.t.Fatalf("%s: %d", what, status)
	}
	defer f.Close()
	if f.Coding() != coding || f.Size() != size || !f.varies || f.Copied() != (coding != proto.Identity) {
		c.t.Errorf("%s: coding %q, %d bytes, varies %v, copied %v, want %q and %d", what, f.Coding().Token(), f.Size(), f.varies, f.Copied(), coding.Token(), size)
	}
}

// wanted returns how many copies were requested since the last call.
func (c *copying) wanted() (n int) {
	n, c.asked = len(c.asked), nil
	return n
}

// A copy is requested once in a while, and sent when it exists. A copy of another state is never
// sent.
func TestCopies(t *testing.T) {
	c := newCopying(t)
	st := c.write("a.html", 5000)
	all, gz := accepting(t, "br, gzip"), accepting(t, "gzip")
	for range 3 {
		c.gets("no copy yet", "a.html", all, proto.Identity, 5000)
	}
	if len(c.asked) != 1 || c.asked[0] != proto.Brotli {
		t.Errorf("requested %v, want brotli once", c.asked)
	}
	c.now = c.now.Add(askAgain)
	c.gets("still no copy", "a.html", all, proto.Identity, 5000)
	if c.wanted() != 2 {
		t.Error("not requested again")
	}
	c.put(st, proto.Gzip, "gzip copy")
	c.gets("the second choice", "a.html", all, proto.Gzip, 9)
	c.put(st, proto.Brotli, "brotli")
	c.gets("the first choice", "a.html", all, proto.Brotli, 6)
	c.gets("of another client", "a.html", gz, proto.Gzip, 9)
	c.gets("of one that takes none", "a.html", proto.Codings{}, proto.Identity, 5000)
	c.wanted()
	c.now = c.now.Add(stillUsed)
	c.gets("later", "a.html", all, proto.Brotli, 6)
	if c.wanted() != 1 {
		t.Error("the use of the copy is not reported")
	}
	if f, _ := c.Open([]byte("/a.html"), all, fullAccess()); f.Modified() != timeOf(st.Mtim) {
		t.Errorf("modified %v, want the time of the file", f.Modified())
	} else {
		f.Close()
	}

	c.write("a.html", 5001)
	c.now = time.Now()
	c.gets("just changed", "a.html", all, proto.Identity, 5001)
	c.now = c.now.Add(time.Minute)
	c.gets("changed", "a.html", all, proto.Identity, 5001)
	if c.wanted() != 1 {
		t.Error("a copy of a file that has just changed is requested, or one of a changed file is not")
	}

	plant(t, c.dir, "a.html.gz: sidecar")
	f, _ := c.Open([]byte("/a.html"), all, fullAccess())
	if f.Size() != 7 || f.Copied() || f.Coding() != proto.Gzip {
		t.Errorf("the precompressed file has no precedence: %q, %d bytes", f.Coding().Token(), f.Size())
	}
	f.Close()
}

// Copies that cannot exist are not requested, and files that are not copies are not sent.
func TestNoCopies(t *testing.T) {
	c := newCopying(t)
	br := accepting(t, "br")
	c.write("small.html", MinCopied-1)
	c.gets("a small file", "small.html", br, proto.Identity, MinCopied-1)
	if err := os.Truncate(c.dir+"/small.html", MaxCopied+1); err != nil {
		t.Fatal(err)
	}
	c.gets("a large file", "small.html", br, proto.Identity, MaxCopied+1)
	st := c.write("useless.html", 5000)
	c.put(st, proto.Brotli, "")
	c.gets("one that is not worth it", "useless.html", br, proto.Identity, 5000)
	if f, _ := c.Open([]byte("/a.png"), br, fullAccess()); f != nil {
		t.Error("a missing file is returned")
	}
	if c.wanted() != 0 {
		t.Error("a copy is requested")
	}
	c.fails = true
	st = c.write("b.html", 5000)
	c.gets("a failed request", "b.html", br, proto.Identity, 5000)
	c.fails = false
	c.gets("a request after a failed one", "b.html", br, proto.Identity, 5000)
	if c.wanted() != 1 {
		t.Error("not requested although the request failed before")
	}
	name := filepath.Join(c.cache, CopyName(&st, proto.Brotli))
	if err := os.Symlink(c.dir+"/useless.html", name); err != nil {
		t.Fatal(err)
	}
	c.gets("a link", "b.html", br, proto.Identity, 5000)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	c.put(st, proto.Brotli, string(make([]byte, 5000)))
	c.gets("one that is not smaller", "b.html", br, proto.Identity, 5000)
}

// In the steady state the file cache has the copy, and nothing searches for it.
func TestCopyIsCached(t *testing.T) {
	c := newCopying(t)
	st := c.write("a.html", 5000)
	c.put(st, proto.Brotli, "brotli")
	cache := NewCache(c.Root, time.Second, 100)
	defer cache.Close()
	br := accepting(t, "br")
	open := func() {
		f, status := cache.Open([]byte("/a.html"), br, fullAccess())
		if status != proto.StatusOK || f.Coding() != proto.Brotli || string(f.Body()) != "brotli" {
			t.Fatalf("%d, %+v", status, f)
		}
		f.Close()
	}
	open()
	if err := os.RemoveAll(c.cache); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, open); n > 0 {
		t.Errorf("%v allocations", n)
	}
	c.now = c.now.Add(2 * time.Second)
	f, _ := cache.Open([]byte("/a.html"), br, fullAccess())
	if f.Coding() != proto.Identity {
		t.Error("a copy that was evicted is sent")
	}
	f.Close()
}
