package site

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Listing is a directory listing, made in pieces: the entries are read in batches, then
// sorted, then written in batches. It implements conn.Stream.
type Listing struct {
	*listed
	next   int // index of the next entry to write; -1: nothing has been written
	closed bool
}

// order is how the entries are sorted.
type order struct {
	by   string // "name", "size" or "time"
	desc bool
}

// format writes a listing.
type format interface {
	contentType() string
	begin(dst []byte, l *listed) []byte
	row(dst []byte, l *listed, i int) []byte
	end(dst []byte, l *listed) []byte
}

// batch is the number of entries that are read or written at a time.
const batch = 256

// List opens a directory, whose path ends with a slash or with "/.", for listing, unless it has
// an index file that cannot be served. The query chooses the order:
// "?sort=name|size|time&order=asc|desc".
func (r *Root) List(path, query []byte, json bool, access *proto.Access) (*Listing, proto.Status) {
	name, dir, status := r.openListable(path, r.policy.List, access)
	if status != proto.StatusOK {
		return nil, status
	}
	var space [unix.PathMax]byte
	switch f, _, err := r.index(append(space[:0], name...), access); err {
	case nil:
		f.Close() // it has just been created
	case unix.ENOENT, errDirectory:
	default:
		dir.Close()
		return nil, statusOf(err)
	}
	k := kind{path: "/" + name, format: htmlFormat{}, order: parseOrder(query), archive: r.policy.Archive, granted: access.Granted}
	if json {
		k.format = jsonFormat{}
	}
	c := r.listed(k, dir)
	if c == nil {
		return nil, proto.StatusServiceUnavailable
	}
	return &Listing{listed: c, next: -1}, proto.StatusOK
}

// openListable opens a directory for a listing or an archive, if these are allowed, and returns its
// clean name. The path ends with a slash or with "/.".
func (r *Root) openListable(path []byte, allowed bool, access *proto.Access) (name string, dir *os.File, s proto.Status) {
	var space [unix.PathMax]byte
	clean, s := r.clean(space[:0], path)
	switch {
	case s != proto.StatusOK:
		return "", nil, s
	case !allowed, len(clean) > 0 && clean[len(clean)-1] != '/':
		return "", nil, proto.StatusForbidden
	case !r.admits(clean, access):
		return "", nil, proto.StatusUnauthorized
	}
	dir, err := r.directory(clean, access)
	if err != nil {
		r.opened(clean, nil, err)
		return "", nil, statusOf(err)
	}
	return string(clean), dir, proto.StatusOK
}

// directory opens a directory by its clean name. It returns nil for a root of shares, which
// is not a directory.
func (r *Root) directory(name []byte, access *proto.Access) (*os.File, error) {
	if len(name) == 0 {
		if r.shares != nil {
			return nil, nil
		}
		name = append(name, '.')
	}
	fd, err := r.enter(name, access)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), string(name)), nil
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

// ETag returns the strong validator of a prepared listing, a hash of its content.
func (l *Listing) ETag() []byte { return l.tag }

// FileName returns "": a listing is shown, not saved.
func (l *Listing) FileName() string { return "" }

// Await arranges that wake is called once the entries have been sorted, or the README made,
// perhaps after Close. It returns false if the listing does not wait for either.
func (l *Listing) Await(wake func()) bool { return l.await(wake) }

// Close ends the listing.
func (l *Listing) Close() {
	if !l.closed {
		l.closed = true
		l.release()
	}
}

// Prepare does a part of the work, such as reading a batch of entries, and reports whether
// the listing is ready. It returns 503 if all listings of the root together exceed their
// budget: clients that do not read must not use up the memory.
func (l *Listing) Prepare() (ready bool, s proto.Status) {
	if ready, s = l.prepare(); ready {
		l.listed = l.merge()
	}
	return ready, s
}

// Append appends the next piece and reports whether it was the last. The listing must be
// ready, see Prepare.
func (l *Listing) Append(dst []byte) (_ []byte, done bool, err error) {
	if l.next < 0 {
		l.next = 0
		return l.format.begin(dst, l.listed), false, nil
	}
	for end := min(l.next+batch, len(l.entries)); l.next < end; l.next++ {
		dst = l.format.row(dst, l.listed, l.next)
	}
	if l.next < len(l.entries) {
		return dst, false, nil
	}
	return l.format.end(dst, l.listed), true, nil
}
