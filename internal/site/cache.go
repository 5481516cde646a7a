package site

import (
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Cache caches the results of opening paths: open files, the content of small ones, and
// errors. It is bounded in entries and bytes, and not safe for concurrent use. An entry is
// checked again after MaxAge, so that a deploy is seen within that time, and a response
// never mixes two versions of a file. A file that was changed a moment ago is not cached: it
// could change again without changing its times.
type Cache struct {
	root *Root
	mark string // prefix of its keys, unique among caches that share the memory
	*memory

	// MaxAge is how long a file is used before it is checked again.
	MaxAge time.Duration
}

// memory has the entries of one or several caches.
type memory struct {
	found  store
	failed store
	bytes  int // of bodies
	key    []byte
	caches int
}

// MaxBody is the size in bytes up to which the content of a file is held in memory, and sent as
// [File.Body].
const MaxBody = 32 << 10

// Bounds of a cache.
const (
	maxFound  = 1024             // files
	maxFailed = 256              // paths without a file
	maxBodies = 8 << 20          // bytes of all bodies
	unused    = 10 * time.Second // age of an entry at which Sweep removes it
)

// NewCache returns an empty cache of the root, which checks a file again after maxAge and
// holds at most most files open.
func NewCache(root *Root, maxAge time.Duration, most int) *Cache {
	return &Cache{root: root, MaxAge: maxAge, memory: &memory{
		found:  store{max: min(maxFound, most), byKey: make(map[string]*cached)},
		failed: store{max: maxFailed, byKey: make(map[string]*cached)},
		caches: 1,
	}}
}

// Share returns a cache of another root that shares the memory of this one: both together are
// bounded like one, and the entries that are used more often stay. It must be used by the
// same goroutine.
func (c *Cache) Share(root *Root) *Cache {
	mark := strconv.Itoa(c.caches) + "\x00" // the first one has none: its keys begin with a slash or a NUL
	c.caches++
	return &Cache{root: root, mark: mark, memory: c.memory, MaxAge: c.MaxAge}
}

// Open is [Root.Open], cached.
func (c *Cache) Open(path []byte, codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	c.key = append(append(c.key[:0], c.mark...), path...)
	c.varyKey(codings)
	return c.recall(access, func() (*File, proto.Status) { return c.root.Open(path, codings, access) })
}

// varyKey appends the codings to the key.
func (c *Cache) varyKey(codings proto.Codings) {
	for _, coding := range codings.List() {
		c.key = append(c.key, 0, byte(coding)) // no path has a NUL
	}
}

// Fallback is [Root.Fallback], cached once for all paths.
func (c *Cache) Fallback(path []byte, codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	if status := c.root.fallsBack(path); status != proto.StatusOK {
		return nil, status
	}
	c.key = append(append(c.key[:0], c.mark...), "\x00fallback"...)
	c.varyKey(codings)
	return c.recall(access, func() (*File, proto.Status) { return c.root.fallback(codings, access) })
}

// Page is [Root.Page], cached.
func (c *Cache) Page(s proto.Status, access *proto.Access) (*File, bool) {
	name := pageName(s)
	c.key = append(append(append(c.key[:0], c.mark...), "\x00page "...), name...)
	f, _ := c.recall(access, func() (*File, proto.Status) { return c.root.page(name, access) })
	return f, f != nil
}

// recall returns the entry of the key, and calls look if there is none or it is too old. The
// credentials that it needs are cached too, since an entry serves all requests.
func (c *Cache) recall(access *proto.Access, look func() (*File, proto.Status)) (*File, proto.Status) {
	now := c.root.Now()
	e := c.found.get(c.key)
	if e == nil {
		e = c.failed.get(c.key)
	}
	if e != nil && now.Sub(e.looked) < c.MaxAge {
		if e.file != nil {
			c.loadLate(e.file)
		}
		return e.open(access)
	}
	used := access.Used
	access.Used = 0
	f, status := look()
	if status == proto.StatusServiceUnavailable && len(c.found.ring) > 0 {
		// Out of descriptors: close some of the cache.
		for n := 0; n < maxFound/16 && len(c.found.ring) > 0; n++ {
			c.forget(c.found.victim())
		}
		if e != nil && e.file != nil {
			e = c.found.get(c.key)
		}
		f, status = look()
	}
	realms := access.Used
	access.Used |= used
	switch {
	case e != nil && f != nil && e.file != nil && e.file.stamp == f.stamp:
		if f.summed {
			e.file.sum, e.file.summed = f.sum, true
		}
		f.Close()
		e.looked, e.realms = now, realms
		c.makeRoom(e)
		c.loadLate(e.file)
		return e.open(access)
	case e != nil:
		c.forget(e)
	}
	return c.remember(f, status, realms, now), status
}

// remember caches a result, if it may be cached, and returns the file.
func (c *Cache) remember(f *File, status proto.Status, realms proto.Realms, now time.Time) *File {
	t := &c.found
	switch {
	case f == nil && (status >= proto.StatusInternalServerError || status == proto.StatusUnauthorized):
		return f
	case f == nil:
		t = &c.failed
	case !longAgo(f.stamp.latest(), now):
		return f
	case !c.load(f):
		return f
	}
	for len(t.ring) > 0 && (len(t.ring) >= t.max || c.bytes > maxBodies) {
		c.forget(t.victim())
	}
	e := &cached{store: t, key: string(c.key), file: f, status: status, realms: realms, looked: now}
	t.put(e)
	if f != nil {
		f.users++
	}
	return f
}

// load reads a small file into memory, and closes its descriptor once no response is under way
// with it: if this process dies, such a response may be continued by descriptor in another. It
// returns false if the file was changed meanwhile.
func (c *Cache) load(f *File) bool {
	if f.body == nil && f.size <= MaxBody && Resident(f.fd, 0, f.size) {
		body := make([]byte, f.size)
		if readAll(f.fd, body) != len(body) || f.changed() {
			return false
		}
		f.body = body
		c.bytes += len(body)
	}
	if f.body != nil && f.fd >= 0 && f.users == 1 {
		unix.Close(f.fd)
		f.fd = -1
	}
	return true
}

// loadLate is load for a cached file, which may not have been in the page cache before, if
// there is room for it. The next check of the file makes room.
func (c *Cache) loadLate(f *File) {
	if f.body != nil || c.bytes+int(f.size) <= maxBodies {
		c.load(f)
	}
}

// makeRoom evicts entries until there is room for the content of a cached small file that is in the
// page cache by now. It is called when the file is checked again, so that files that take turns
// cost a fraction of what opening them does.
func (c *Cache) makeRoom(e *cached) {
	f := e.file
	if f.body != nil || f.size > MaxBody || c.bytes+int(f.size) <= maxBodies || !Resident(f.fd, 0, f.size) {
		return
	}
	for c.bytes+int(f.size) > maxBodies {
		if v := c.found.victim(); v != e {
			c.forget(v)
		} else {
			v.used = true
		}
	}
}

// Resident reports whether the first and the last of n bytes at off of a file are in the
// page cache, so that reading them does not wait for the disk. It returns true if the file
// system cannot tell.
func Resident(fd int, off, n int64) bool {
	var b byte
	to := unix.Iovec{Base: &b, Len: 1}
	for _, at := range [2]int64{off, max(off, off+n-1)} {
		// unix.Preadv2 allocates. The call is raw because it returns at once.
		if _, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&to)), 1, uintptr(at), 0, unix.RWF_NOWAIT); errno == unix.EAGAIN {
			return false
		}
	}
	return true
}

// Sweep removes entries that have not been checked for ten seconds, so that a deleted file
// does not keep its space, and reports whether any are left. It applies to all caches that
// share the memory.
func (c *Cache) Sweep() (left bool) {
	now := c.root.Now()
	for _, t := range []*store{&c.found, &c.failed} {
		for i := len(t.ring) - 1; i >= 0; i-- {
			if now.Sub(t.ring[i].looked) > max(unused, c.MaxAge) {
				c.forget(t.ring[i])
			}
		}
	}
	return len(c.found.ring)+len(c.failed.ring) > 0
}

func (c *Cache) forget(e *cached) {
	e.store.remove(e)
	if e.file != nil {
		c.bytes -= len(e.file.body)
		e.file.Close()
	}
}

// Close removes all entries, including those of caches that share the memory.
func (c *Cache) Close() {
	for _, t := range []*store{&c.found, &c.failed} {
		for len(t.ring) > 0 {
			c.forget(t.ring[0])
		}
	}
}
