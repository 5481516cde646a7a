package site

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// Listing is the list of a directory, made piece by piece: the entries are
// read in batches, then sorted, then written in batches. It implements what
// a connection sends as a stream.
type Listing struct {
	root    *Root
	dir     *os.File
	path    string // decoded, from the root, with slashes at both ends
	format  format
	order   order
	entries []entry
	tag     []byte // see ETag
	next    int    // the entry to write; -1 before the first
	cost    int64  // bytes of the root's budget
}

// entry is a name in a directory.
type entry struct {
	name     string
	size     int64 // bytes; 0 for a directory
	modified int64 // seconds since 1970
	dir      bool
}

// order is how the entries are sorted.
type order struct {
	by   string // "name", "size" or "time"
	desc bool
}

// format writes a listing.
type format interface {
	contentType() string
	begin(dst []byte, l *Listing) []byte
	row(dst []byte, l *Listing, i int) []byte
	end(dst []byte, l *Listing) []byte
}

// batch is how many entries are read or written at a time.
const batch = 256

// List opens a directory, whose path ends with a slash or with "/.", for
// listing. The query chooses the order: "?sort=name|size|time&order=asc|desc".
func (r *Root) List(path, query []byte, json bool) (*Listing, proto.Status) {
	var space [unix.PathMax]byte
	name, status := r.clean(space[:0], path)
	switch {
	case status != proto.StatusOK:
		return nil, status
	case !r.policy.List, len(name) > 0 && name[len(name)-1] != '/':
		return nil, proto.StatusForbidden
	}
	full := "/" + string(name)
	if len(name) == 0 {
		name = append(name, '.')
	}
	fd, err := r.open(name)
	if err != nil {
		r.opened(name, nil, err)
		return nil, statusOf(err)
	}
	l := &Listing{
		root: r, dir: os.NewFile(uintptr(fd), full), path: full, next: -1, cost: listingCost,
		format: htmlFormat{}, order: parseOrder(query),
	}
	if json {
		l.format = jsonFormat{}
	}
	if !r.listings.take(l.cost) {
		l.Close()
		return nil, proto.StatusServiceUnavailable
	}
	return l, proto.StatusOK
}

func parseOrder(query []byte) order {
	o := order{by: "name"}
	for pair := range strings.SplitSeq(strings.TrimPrefix(string(query), "?"), "&") {
		switch pair {
		case "sort=size", "sort=time":
			o.by = pair[len("sort="):]
		case "order=desc":
			o.desc = true
		}
	}
	return o
}

// ContentType returns the media type of the list.
func (l *Listing) ContentType() string { return l.format.contentType() }

// ETag returns the strong validator of a prepared listing: whatever it shows is in
// it.
func (l *Listing) ETag() []byte { return l.tag }

func (l *Listing) hash() []byte {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %v %s %q\n", l.format.contentType(), l.order, theme.ListingPolicy, l.path)
	var line []byte
	for i := range l.entries {
		e := &l.entries[i]
		line = append(append(line[:0], e.name...), 0)
		line = append(strconv.AppendInt(line, e.size, 10), ' ')
		line = strconv.AppendBool(append(strconv.AppendInt(line, e.modified, 10), ' '), e.dir)
		h.Write(line)
	}
	return fmt.Appendf(nil, `"%x"`, h.Sum64())
}

// Close ends the listing.
func (l *Listing) Close() {
	l.dir.Close()
	l.root.listings.give(l.cost)
	l.entries, l.cost = nil, 0
}

// Prepare reads a batch of entries, and reports whether those were the last. It
// returns 503 if the listings of the root would hold too much: a client that
// does not read what it asked for is not to use up the memory of all.
func (l *Listing) Prepare() (ready bool, _ proto.Status) {
	cost, more := l.read()
	l.cost += cost
	switch {
	case !l.root.listings.take(cost):
		return false, proto.StatusServiceUnavailable
	case more:
		return false, proto.StatusOK
	}
	l.dir.Close()
	l.sort()
	l.tag = l.hash()
	return true, proto.StatusOK
}

// Append appends the next piece and reports whether it was the last. The
// listing is prepared.
func (l *Listing) Append(dst []byte) (_ []byte, done bool) {
	if l.next < 0 {
		l.next = 0
		return l.format.begin(dst, l), false
	}
	for end := min(l.next+batch, len(l.entries)); l.next < end; l.next++ {
		dst = l.format.row(dst, l, l.next)
	}
	if l.next < len(l.entries) {
		return dst, false
	}
	return l.format.end(dst, l), true
}

// read reads a batch of entries and returns what they cost, and false after the
// last one. A directory that cannot be read further is listed as far as it was.
func (l *Listing) read() (cost int64, more bool) {
	names, err := l.dir.Readdirnames(batch)
	raw, rawErr := l.dir.SyscallConn()
	if rawErr != nil {
		return 0, false
	}
	raw.Control(func(fd uintptr) {
		for _, name := range names {
			if e, ok := l.look(int(fd), name); ok {
				l.entries = append(l.entries, e)
				cost += entryCost + int64(len(name))
			}
		}
	})
	return cost, err == nil && !errors.Is(err, io.EOF)
}

// look finds out what a name is. Only what would be served is listed: files
// and directories, also behind symbolic links that stay beneath the root.
func (l *Listing) look(dir int, name string) (entry, bool) {
	if l.root.hides([]byte(name)) {
		return entry{}, false
	}
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return entry{}, false
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK && !l.follow(name, &st) {
		return entry{}, false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return entry{name: name, size: st.Size, modified: st.Mtim.Sec}, true
	case unix.S_IFDIR:
		return entry{name: name, modified: st.Mtim.Sec, dir: true}, true
	}
	return entry{}, false
}

// follow replaces what is known of a symbolic link by what it leads to.
func (l *Listing) follow(name string, st *unix.Stat_t) bool {
	full := make([]byte, 0, len(l.path)+len(name)+1)
	full = append(append(full, l.path[1:]...), name...)
	return l.root.stat(full, st) == nil
}

// sort sorts directories before files, then by the order that was asked for,
// and what is equal by name.
func (l *Listing) sort() {
	slices.SortFunc(l.entries, func(a, b entry) int {
		if a.dir != b.dir {
			if a.dir {
				return -1
			}
			return 1
		}
		by := 0
		switch l.order.by {
		case "size":
			by = cmp.Compare(a.size, b.size)
		case "time":
			by = cmp.Compare(a.modified, b.modified)
		}
		if by == 0 {
			by = compareNames(a.name, b.name)
		}
		if l.order.desc {
			return -by
		}
		return by
	})
}
