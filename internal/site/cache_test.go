package site

import (
	"fmt"
	"os"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// settledRoot returns a root with a large file "big" and a small one "small", and a cache for
// whose clock both were written long ago.
func settledRoot(t *testing.T) (dir string, c *Cache, now *time.Time) {
	t.Helper()
	dir = t.TempDir()
	for name, size := range map[string]int{"big": MaxBody + 1, "small": 10} {
		plant(t, dir, name+": "+string(make([]byte, size)))
	}
	clock := time.Now().Add(time.Hour)
	c = NewCache(openRoot(t, dir), time.Second, maxFound)
	c.root.Now = func() time.Time { return clock }
	t.Cleanup(c.Close)
	return dir, c, &clock
}

func look(t *testing.T, c *Cache, path string) (size int64, status proto.Status) {
	t.Helper()
	f, status := c.Open([]byte(path), proto.Codings{}, new(proto.Access))
	if status != proto.StatusOK {
		return 0, status
	}
	defer f.Close()
	return f.Size(), status
}

// A change is noticed when the last check is older than MaxAge, and not before. A file that was
// changed a moment ago is checked at once.
func TestCacheLooksAgain(t *testing.T) {
	dir, c, now := settledRoot(t)
	for _, path := range []string{"/big", "/small", "/none"} {
		before, _ := look(t, c, path)
		plant(t, dir, path+": "+string(make([]byte, before+7)))
		if size, _ := look(t, c, path); size != before {
			t.Errorf("%s: checked again at once: %d bytes", path, size)
		}
		*now = now.Add(time.Second)
		if size, status := look(t, c, path); size != before+7 || status != proto.StatusOK {
			t.Errorf("%s: %d bytes and %d after a second", path, size, status)
		}
	}
}

// A new file is not cached: it may change without a change of its times.
func TestCacheDistrustsNewFiles(t *testing.T) {
	dir, c, now := settledRoot(t)
	*now = time.Now()
	for range 3 {
		before, _ := look(t, c, "/small")
		plant(t, dir, "small: "+string(make([]byte, before+1)))
		if size, _ := look(t, c, "/small"); size != before+1 {
			t.Errorf("%d bytes, want %d", size, before+1)
		}
	}
}

// A small file that was not in the page cache when it was opened is read into memory later,
// but keeps its descriptor while it is being sent.
func TestCacheKeepsDescriptorInUse(t *testing.T) {
	_, c, now := settledRoot(t)
	f, status := c.root.Open([]byte("/small"), proto.Codings{}, new(proto.Access))
	if status != proto.StatusOK {
		t.Fatal(status)
	}
	f.users++ // the cache
	c.found.put(&cached{store: &c.found, key: "/small", file: f, status: status, looked: *now})
	fd := f.Fd()
	if look(t, c, "/small"); len(f.Body()) != 10 || f.Fd() != fd || f.changed() {
		t.Errorf("in use: %d bytes in memory, and descriptor %d has become %d", len(f.Body()), fd, f.Fd())
	}
	f.Close()
	if look(t, c, "/small"); len(f.Body()) != 10 || f.Fd() != -1 {
		t.Errorf("%d bytes in memory and descriptor %d", len(f.Body()), f.Fd())
	}
}

// An unused entry is removed, and its descriptor closed.
func TestCacheSweep(t *testing.T) {
	dir, c, now := settledRoot(t)
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	look(t, c, "/big")
	if err := os.Remove(dir + "/big"); err != nil {
		t.Fatal(err)
	}
	if open() != before+1 {
		t.Errorf("the cache holds %d descriptors, want 1", open()-before)
	}
	if !c.Sweep() {
		t.Error("swept at once")
	}
	*now = now.Add(unused + time.Second)
	if c.Sweep() || open() != before {
		t.Errorf("%d descriptors are held after the sweep", open()-before)
	}
}

// The cache is bounded, and a file in use stays open after its eviction.
func TestCacheIsBounded(t *testing.T) {
	dir, c, _ := settledRoot(t)
	f, _ := c.Open([]byte("/small"), proto.Codings{}, new(proto.Access))
	for i := range 2 * maxFailed {
		look(t, c, "/none"+string(rune('a'+i%26))+time.Duration(i).String())
	}
	if n := len(c.failed.ring); n > maxFailed {
		t.Errorf("%d errors are cached", n)
	}
	c.found.max = 1
	look(t, c, "/big")
	if len(c.found.ring) != 1 {
		t.Errorf("%d files are cached", len(c.found.ring))
	}
	if len(f.Body()) != 10 {
		t.Errorf("a file in use has lost its bytes: %d", len(f.Body()))
	}
	f.Close()
	_ = dir
}

// lookAtCold puts files of MaxBody bytes, "/0" to the last, into the cache as if they had not been in the
// page cache when they were opened, and looks at each.
func lookAtCold(t *testing.T, dir string, c *Cache, files int) {
	t.Helper()
	for i := range files {
		path := fmt.Sprintf("/%d", i)
		if err := os.WriteFile(dir+path, make([]byte, MaxBody), 0o644); err != nil {
			t.Fatal(err)
		}
		f, status := c.root.Open([]byte(path), proto.Codings{}, new(proto.Access))
		if status != proto.StatusOK {
			t.Fatal(status)
		}
		c.found.put(&cached{store: &c.found, key: path, file: f, status: status, looked: c.root.Now()})
	}
	for i := range files {
		look(t, c, fmt.Sprintf("/%d", i))
	}
}

// A small file that was not in the page cache when it was opened, and for which there was no room later,
// gets room when it is checked again: the least used file makes place for it.
func TestCacheMakesRoom(t *testing.T) {
	dir, c, now := settledRoot(t)
	const full = maxBodies / MaxBody
	lookAtCold(t, dir, c, full+1)
	*now = now.Add(c.MaxAge)
	for range 2 {
		f, status := c.Open(fmt.Appendf(nil, "/%d", full), proto.Codings{}, new(proto.Access))
		if status != proto.StatusOK {
			t.Fatal(status)
		}
		if n := len(f.Body()); n != MaxBody || c.bytes != maxBodies || len(c.found.ring) != full {
			t.Errorf("%d bytes of the file are held, %d bytes of %d files", n, c.bytes, len(c.found.ring))
		}
		f.Close()
	}
}

// The bodies of files that are read into memory late are bounded too.
func TestCacheIsBoundedInBytes(t *testing.T) {
	dir, c, _ := settledRoot(t)
	lookAtCold(t, dir, c, maxBodies/MaxBody+10)
	if c.bytes > maxBodies || c.bytes < maxBodies-MaxBody {
		t.Errorf("%d bytes are held, want up to %d", c.bytes, maxBodies)
	}
}

// The site's error page is cached like any file, and so is its absence.
func TestCacheRemembersErrorPages(t *testing.T) {
	dir, c, now := settledRoot(t)
	if _, ok := c.Page(proto.StatusNotFound, new(proto.Access)); ok {
		t.Fatal("a missing page is returned")
	}
	plant(t, dir, "404.html: hello")
	if _, ok := c.Page(proto.StatusNotFound, new(proto.Access)); ok {
		t.Error("checked again at once")
	}
	*now = now.Add(time.Second)
	f, ok := c.Page(proto.StatusNotFound, new(proto.Access))
	if !ok || len(f.Body()) != 5 {
		t.Fatal("the page is missing, or not held in memory")
	}
	f.Close()
	if again, _ := c.Page(proto.StatusNotFound, new(proto.Access)); again != f {
		t.Error("the page was opened again")
	}
	for _, other := range []proto.Status{proto.StatusInternalServerError, proto.StatusForbidden} {
		if _, ok := c.Page(other, new(proto.Access)); ok {
			t.Errorf("there is a page for %d", other)
		}
	}
}

// Caches that share their memory never mix their entries, stay within the limits of one, and are
// closed together.
func TestCachesBeside(t *testing.T) {
	var dirs [3]string
	var caches [3]*Cache
	clock := time.Now().Add(time.Hour)
	for i := range dirs {
		dirs[i] = t.TempDir()
		for n := range 20 {
			plant(t, dirs[i], fmt.Sprintf("%d: ", n)+string(make([]byte, 100*i+n)))
		}
		root := openRoot(t, dirs[i])
		root.Now = func() time.Time { return clock }
		if i == 0 {
			caches[0] = NewCache(root, time.Minute, 16)
			continue
		}
		caches[i] = caches[0].Share(root)
	}
	for range 2 {
		for n := range 20 {
			for i, c := range caches {
				if size, status := look(t, c, fmt.Sprintf("/%d", n)); status != proto.StatusOK || size != int64(100*i+n) {
					t.Fatalf("site %d, /%d: %d bytes and %d", i, n, size, status)
				}
				look(t, c, fmt.Sprintf("/none%d", n))
			}
		}
		if n := len(caches[2].found.ring); n != 16 {
			t.Fatalf("%d files are cached", n)
		}
	}
	caches[1].Close()
	if m := caches[0].memory; m.bytes != 0 || len(m.found.byKey)+len(m.failed.byKey) != 0 {
		t.Errorf("%d bytes, %d entries are left", m.bytes, len(m.found.byKey)+len(m.failed.byKey))
	}
}
