package site

import (
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Cache remembers what paths were found to be: open files, the bytes of
// small ones, and errors. It is for one goroutine, bounded in entries and
// bytes, and looks at a path again when its last look is older than MaxAge,
// so that a deploy is seen within that time and an answer is never mixed of
// two versions. A file that was changed a moment ago is not remembered at
// all: it could change again without its times telling.
type Cache struct {
	root *Root
	mark string // begins its keys; no other cache with this memory has it
	*memory

	// MaxAge is how long a file is used before it is checked again.
	MaxAge time.Duration
}

// memory is what one cache, or several together, remember.
type memory struct {
	found  store
	failed store
	bytes  int // of bodies
	key    []byte
	caches int
}

// MaxBody is the size in bytes up to which a body is kept in memory. Its file is
// closed then, so that it has to be sent as [File.Body].
const MaxBody = 32 << 10

// Bounds of a cache.
const (
	maxFound  = 1024             // files
	maxFailed = 256              // paths without one
	maxBodies = 8 << 20          // bytes of all bodies
	unused    = 10 * time.Second // after which an entry is swept
)

// NewCache returns an empty cache of the root, which looks at a file again after
// maxAge and holds at most so many open.
func NewCache(root *Root, maxAge time.Duration, most int) *Cache {
	return &Cache{root: root, MaxAge: maxAge, memory: &memory{
		found:  store{max: min(maxFound, most), byKey: make(map[string]*cached)},
		failed: store{max: maxFailed, byKey: make(map[string]*cached)},
		caches: 1,
	}}
}

// Beside returns a cache of another root that shares the memory of this one: both
// together remember no more than one, and what is used more often stays. It is for the
// same goroutine.
func (c *Cache) Beside(root *Root) *Cache {
	mark := strconv.Itoa(c.caches) + "\x00" // the first one has none: its keys begin with a slash or a NUL
	c.caches++
	return &Cache{root: root, mark: mark, memory: c.memory, MaxAge: c.MaxAge}
}

// Open is [Root.Open], remembered.
func (c *Cache) Open(path []byte, codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	c.key = append(append(c.key[:0], c.mark...), path...)
	c.varyKey(codings)
	return c.recall(access, func() (*File, proto.Status) { return c.root.Open(path, codings, access) })
}

// varyKey makes the key one for these codings.
func (c *Cache) varyKey(codings proto.Codings) {
	for _, coding := range codings.List() {
		c.key = append(c.key, 0, byte(coding)) // no path has a NUL
	}
}

// Fallback is [Root.Fallback], remembered once for all paths.
func (c *Cache) Fallback(path []byte, codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	if status := c.root.fallsBack(path); status != proto.StatusOK {
		return nil, status
	}
	c.key = append(append(c.key[:0], c.mark...), "\x00fallback"...)
	c.varyKey(codings)
	return c.recall(access, func() (*File, proto.Status) { return c.root.fallback(codings, access) })
}

// Page is [Root.Page], remembered.
func (c *Cache) Page(s proto.Status, access *proto.Access) (*File, bool) {
	name := pageName(s)
	c.key = append(append(append(c.key[:0], c.mark...), "\x00page "...), name...)
	f, _ := c.recall(access, func() (*File, proto.Status) { return c.root.page(name, access) })
	return f, f != nil
}

// recall returns what the key stands for, and looks again if that was too long
// ago. What credentials it needs is remembered too: an entry is for all requests.
func (c *Cache) recall(access *proto.Access, look func() (*File, proto.Status)) (*File, proto.Status) {
	now := c.root.Now()
	e := c.found.get(c.key)
	if e == nil {
		e = c.failed.get(c.key)
	}
	if e != nil && now.Sub(e.looked) < c.MaxAge {
		if e.file != nil {
			c.load(e.file) // it may have been on the disk alone when it was found
		}
		return e.open(access)
	}
	used := access.Used
	access.Used = 0
	f, status := look()
	if status == proto.StatusServiceUnavailable && len(c.found.ring) > 0 {
		// Out of descriptors: those that the cache holds are for this.
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
		c.load(e.file)
		return e.open(access)
	case e != nil:
		c.forget(e)
	}
	return c.remember(f, status, realms, now), status
}

// remember keeps what was found, if it may be kept, and returns the file.
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

// load reads a small file whole. It returns false if the file was changed
// meanwhile.
func (c *Cache) load(f *File) bool {
	if f.size > MaxBody || f.body != nil || !Resident(f.fd, 0, f.size) {
		return true
	}
	body := make([]byte, f.size)
	if readAll(f.fd, body) != len(body) || f.changed() {
		return false
	}
	f.body = body
	c.bytes += len(body)
	unix.Close(f.fd)
	f.fd = -1
	return true
}

// Resident reports whether the first and the last of n bytes at off of a file are
// in memory, so that reading them waits for no disk. Where the file system cannot
// say, it is taken for granted.
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

// Sweep forgets what has not been asked for in a while, so that a deleted file
// does not keep its space, and reports whether anything is left; in all caches that share
// the memory.
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

// Close forgets everything that this cache, and those that share its memory, remember.
func (c *Cache) Close() {
	for _, t := range []*store{&c.found, &c.failed} {
		for len(t.ring) > 0 {
			c.forget(t.ring[0])
		}
	}
}
