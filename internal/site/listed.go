package site

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// kind is what determines the content of a listing.
type kind struct {
	path    string // decoded, from the root, with slashes at both ends
	format  format
	order   order
	archive bool         // the page offers archives
	granted proto.Realms // only names that these grant access to are shown
}

// listed is the content of listings of one kind. Listings that are requested at about the same time
// read the directory together, and equal ones share their memory: otherwise a hundred clients that
// receive a long listing slowly would use up the memory for listings.
type listed struct {
	kind
	root *Root

	// Guarded by shared.
	began time.Time
	state stamp // state at began; zero: a change since then could look the same
	users int   // number of listings, and one more while the entries are being sorted

	mu         sync.Mutex // guards the fields below, until ready
	dir        *os.File   // nil: the shares are listed
	failed     bool
	cost       int64       // bytes charged to the root's budget
	whole      bool        // all entries have been read
	ordered    bool        // entries are sorted
	sum        hash.Hash64 // hash of what is shown
	summed     int         // number of entries in sum
	making     bool        // entries are being sorted, or the README is being rendered
	wakes      []func()    // called when that is done
	readmeName string
	readme     []byte // HTML

	ready   atomic.Bool // nothing below changes any more
	entries []entry
	tag     []byte // see Listing.ETag
}

// entry is a name in a directory.
type entry struct {
	name     string
	size     int64 // bytes; 0 for a directory
	modified int64 // seconds since 1970
	dir      bool
}

// shared has all current listings, the oldest of a kind first. No lock of a listing is taken while
// its lock is held.
type shared struct {
	mu     sync.Mutex
	byKind map[kind][]*listed
}

// sharedFor is how long after its beginning a listing may be joined. Sizes and times of files
// are no older than that, as in [Cache]; new and removed names are seen at once.
const sharedFor = time.Second

// listed begins to list a directory that was just opened, and owns dir from now on, or joins
// a listing under way. It returns nil if the budget is exceeded.
func (r *Root) listed(k kind, dir *os.File) *listed {
	c := &listed{kind: k, root: r, began: r.Now(), users: 1, dir: dir, cost: listingCost}
	var st unix.Stat_t
	if dir != nil && fstat(int(dir.Fd()), &st) == nil && r.settled(int(dir.Fd()), timeOf(st.Mtim)) {
		c.state = stampOf(&st)
	}
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	for _, other := range r.shared.byKind[k] {
		age := c.began.Sub(other.began)
		if c.state != (stamp{}) && other.state == c.state && 0 <= age && age < sharedFor {
			other.users++
			dir.Close()
			return other
		}
	}
	if !r.listings.take(c.cost) {
		r.listings.give(c.cost)
		dir.Close()
		return nil
	}
	r.shared.byKind[k] = append(r.shared.byKind[k], c)
	return c
}

// merge returns an equal older list, if there is one, and moves one user to it; otherwise it
// returns c.
func (c *listed) merge() *listed {
	s := &c.root.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, older := range s.byKind[c.kind] {
		if older == c {
			break
		}
		if older.ready.Load() && slices.Equal(older.entries, c.entries) && bytes.Equal(older.readme, c.readme) {
			older.users++
			older.began, older.state = c.began, c.state // it is as recent as this one
			c.leave()
			return older
		}
	}
	return c
}

func (c *listed) release() {
	c.root.shared.mu.Lock()
	defer c.root.shared.mu.Unlock()
	c.leave()
}

// leave is release, called with the lock held.
func (c *listed) leave() {
	if c.users--; c.users > 0 {
		return
	}
	s := &c.root.shared
	left := slices.DeleteFunc(s.byKind[c.kind], func(other *listed) bool { return other == c })
	if s.byKind[c.kind] = left; len(left) == 0 {
		delete(s.byKind, c.kind)
	}
	c.dir.Close()
	c.root.listings.give(c.cost)
}

// prepare is Listing.Prepare, called by whichever of the sharing listings runs first.
func (c *listed) prepare() (ready bool, _ proto.Status) {
	if c.ready.Load() {
		return true, proto.StatusOK
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready.Load() {
		return true, proto.StatusOK
	}
	if c.failed {
		return false, proto.StatusServiceUnavailable
	}
	if !c.whole {
		cost, more := c.read()
		switch {
		case !c.charge(cost):
			return false, proto.StatusServiceUnavailable
		case more:
			return false, proto.StatusOK
		}
		c.whole = true
		c.dir.Close()
		c.sort()
	}
	if !c.ordered && !c.making {
		c.ordered = true
		c.beginReadme()
	}
	switch {
	case c.making, !c.hash():
		return false, proto.StatusOK
	case !c.charge(int64(len(c.readme))):
		return false, proto.StatusServiceUnavailable
	}
	c.sum.Write(c.readme)
	c.tag = fmt.Appendf(nil, `"%x"`, c.sum.Sum64())
	c.ready.Store(true)
	return true, proto.StatusOK
}

// sort sorts the entries, in a goroutine if there are many: 100,000 take a tenth of a second, in
// which no other connection would be served. Until then their memory is charged, even if all clients
// leave. It is called with the lock held.
func (c *listed) sort() {
	if len(c.entries) <= batch {
		slices.SortFunc(c.entries, c.compare)
		return
	}
	c.making = true
	c.root.shared.mu.Lock()
	c.users++
	c.root.shared.mu.Unlock()
	c.root.making.Go(func() {
		slices.SortFunc(c.entries, c.compare) // nobody else uses them while making is set
		c.mu.Lock()
		c.release() // the sort was one of the users; a listing that waits is compared with others next
		c.mu.Unlock()
		c.made(nil)
	})
}

// made sets the README, if it is known, and wakes the listings that wait.
func (c *listed) made(readme []byte) {
	c.mu.Lock()
	wakes := c.wakes
	c.readme, c.making, c.wakes = readme, false, nil
	c.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// charge charges a listing's memory to the budget, and reports whether there is room for it.
func (c *listed) charge(cost int64) bool {
	c.cost += cost
	c.failed = !c.root.listings.take(cost)
	return !c.failed
}

// hash adds the next entries to the sum, and reports whether all are in it.
func (c *listed) hash() bool {
	if c.sum == nil {
		c.sum = fnv.New64a()
		fmt.Fprintf(c.sum, "%s %v %s %v %q\n", c.format.contentType(), c.order, theme.ListingPolicy, c.archive, c.path)
	}
	var line []byte
	for end := min(c.summed+8*batch, len(c.entries)); c.summed < end; c.summed++ {
		e := &c.entries[c.summed]
		line = append(append(line[:0], e.name...), 0)
		line = append(strconv.AppendInt(line, e.size, 10), ' ')
		line = strconv.AppendBool(append(strconv.AppendInt(line, e.modified, 10), ' '), e.dir)
		c.sum.Write(line)
	}
	return c.summed == len(c.entries)
}

// read reads a batch of entries and returns what they cost, and false after the
// last one. A directory that cannot be read further is listed as far as it was.
func (c *listed) read() (cost int64, more bool) {
	if c.dir == nil {
		return c.readShares(), false
	}
	names, err := c.dir.Readdirnames(batch)
	raw, rawErr := c.dir.SyscallConn()
	if rawErr != nil {
		return 0, false
	}
	raw.Control(func(fd uintptr) {
		for _, name := range names {
			if e, ok := c.look(int(fd), name); ok {
				c.entries = append(c.entries, e)
				cost += entryCost + int64(len(name))
			}
		}
	})
	return cost, err == nil && !errors.Is(err, io.EOF)
}

// look returns the entry of a name, false if it is not listed. Only what would be served is listed:
// files and directories, including those behind symbolic links that are followed.
func (c *listed) look(dir int, name string) (entry, bool) {
	full := c.path[1:] + name
	if c.root.hides([]byte(name)) || c.root.isRules([]byte(full)) || c.root.hidden(full, c.granted) {
		return entry{}, false
	}
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return entry{}, false
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK && !c.follow(name, &st) {
		return entry{}, false
	}
	return entryOf(name, &st)
}

// entryOf returns the entry of a file or directory; false for anything else.
func entryOf(name string, st *unix.Stat_t) (entry, bool) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return entry{name: name, size: st.Size, modified: st.Mtim.Sec}, true
	case unix.S_IFDIR:
		return entry{name: name, modified: st.Mtim.Sec, dir: true}, true
	}
	return entry{}, false
}

// follow replaces the metadata of a symbolic link by that of its target. It returns false if
// the link is not followed.
func (c *listed) follow(name string, st *unix.Stat_t) bool {
	full := make([]byte, 0, len(c.path)+len(name)+1)
	full = append(append(full, c.path[1:]...), name...)
	if c.root.leadsToHidden(string(full), c.granted) {
		return false
	}
	return c.root.stat(full, st) == nil
}

// compare orders directories before files, then by the requested order, then by name.
func (c *listed) compare(a, b entry) int {
	if a.dir != b.dir {
		if a.dir {
			return -1
		}
		return 1
	}
	by := 0
	switch c.order.by {
	case "size":
		by = cmp.Compare(a.size, b.size)
	case "time":
		by = cmp.Compare(a.modified, b.modified)
	}
	if by == 0 {
		by = compareNames(a.name, b.name)
	}
	if c.order.desc {
		return -by
	}
	return by
}
