package site

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Copies are compressed copies of files in a directory outside of the root: a process of
// low priority makes them, and no copy is ever changed. Its name says of which state of which
// file it is, so that one of another state is not found. An empty one says that a copy would
// be hardly smaller. They may be used by several goroutines, and several roots.
type Copies struct {
	dir int
	ask func(coding proto.Coding, fd int) bool // nil: nobody makes copies

	mu    sync.Mutex // guards asked
	asked map[wanted]time.Time
}

// wanted is a copy of a state of a file.
type wanted struct {
	of     stamp
	coding proto.Coding
}

// Sizes in bytes of files of which there are copies.
const (
	MinCopied = 1 << 10 // a smaller one fits into one packet anyway
	MaxCopied = 64 << 20
)

const (
	maxAsked  = 8192             // that are remembered
	askAgain  = 10 * time.Second // for a copy that has not come
	stillUsed = 10 * time.Minute // until its use is told once more
)

// NewCopies returns the copies in a directory, and takes over its descriptor. It calls
// ask, with the file open, for a missing copy, at most every ten seconds; and, less
// often, for an existing copy to record its use. ask must not wait, and reports whether
// it could pass the request on; nil means that no copies are made.
func NewCopies(dir int, ask func(coding proto.Coding, fd int) bool) *Copies {
	return &Copies{dir: dir, ask: ask, asked: make(map[wanted]time.Time)}
}

// State is what tells a state of a file from all others of it, and of other files.
type State stamp

// StateOf returns the state of a file.
func StateOf(st *unix.Stat_t) State { return State(stampOf(st)) }

// AppendCopyName appends the name of the copy of a file in this state. Device, inode, size
// and both times identify a state, because nobody can set the change time.
func AppendCopyName(dst []byte, st *unix.Stat_t, coding proto.Coding) []byte {
	return appendCopyName(dst, stampOf(st), coding)
}

func appendCopyName(dst []byte, s stamp, coding proto.Coding) []byte {
	return append(append(appendState(dst, s), '.'), coding.Token()...)
}

// appendState appends what begins the name of something that was made of a state.
func appendState(dst []byte, s stamp) []byte {
	for _, n := range [...]uint64{s.dev, s.ino, uint64(s.size), uint64(s.modified.Sec), uint64(s.modified.Nsec), uint64(s.changed.Sec), uint64(s.changed.Nsec)} {
		dst = append(strconv.AppendUint(dst, n, 16), '-')
	}
	return dst[:len(dst)-1]
}

// MaxCopyName is the length in bytes of the longest name of a copy.
const MaxCopyName = 7*17 + 8

// Copied reports whether a copy of a file in this state may be made: any later change
// leads to another state, and the size is within the limits.
func Copied(st *unix.Stat_t, now time.Time) bool { return copied(stampOf(st), now) }

func copied(s stamp, now time.Time) bool {
	return s.size >= MinCopied && s.size <= MaxCopied && longAgo(s.latest(), now)
}

// copied returns a copy of the file in the first of the codings in which there is one, in
// place of the file, or else the file.
func (r *Root) copied(f *File, codings proto.Codings) *File {
	c, list := r.Copies, codings.List()
	if !copied(f.stamp, r.Now()) {
		r.found(CopyUnfit, nil)
		return f
	}
	for i, coding := range list {
		other, useless := c.open(r, f, coding)
		if useless {
			r.weighed(CopyUseless, coding)
			return f // in any coding
		}
		if i == 0 {
			c.want(f, coding, other != nil, r.Now())
		}
		if other != nil {
			other.contentType, other.cacheControl = f.contentType, f.cacheControl
			other.varies, other.coding, other.copied = true, coding, true
			f.Close()
			r.weighed(CopyChosen, coding)
			return other
		}
	}
	r.weighed(CopyMissing, list[0])
	return f
}

// open opens a copy; useless says that it would be hardly smaller.
func (c *Copies) open(r *Root, f *File, coding proto.Coding) (_ *File, useless bool) {
	var space [MaxCopyName + 1]byte
	name := appendCopyName(space[:0], f.stamp, coding)
	fd, err := openat(c.dir, append(name, 0))
	if err != nil {
		return nil, false
	}
	var st unix.Stat_t
	if fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size >= f.size {
		unix.Close(fd)
		return nil, false
	}
	if st.Size == 0 {
		unix.Close(fd)
		return nil, true
	}
	other := r.pool.Get().(*File)
	other.fd, other.users, other.stamp = fd, 1, stampOf(&st)
	other.size, other.modified, other.settled = st.Size, f.modified, f.settled
	return other, false
}

// want asks for a copy, or tells that the one there is in use, unless that was done not long
// ago.
func (c *Copies) want(f *File, coding proto.Coding, there bool, now time.Time) {
	if c.ask == nil {
		return
	}
	w, again := wanted{f.stamp, coding}, askAgain
	if there {
		again = stillUsed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, asked := c.asked[w]
	if asked && now.Sub(last) < again || !c.ask(coding, f.fd) {
		return
	}
	if len(c.asked) >= maxAsked {
		clear(c.asked) // some are asked for again a little early
	}
	c.asked[w] = now
}
