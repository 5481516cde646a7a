package site

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Copies opens compressed copies of files in the cache directory, which the helper makes. A
// copy is never changed; its name contains the state of the file that it was made of, so
// that a copy of another state is not found. An empty copy means that it would be hardly
// smaller. Copies is safe for concurrent use, also by several roots.
type Copies struct {
	dir int
	ask func(coding proto.Coding, fd int) bool // nil: no copies are made

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
	maxAsked  = 8192             // requests that are remembered
	askAgain  = 10 * time.Second // before a missing copy is requested again
	stillUsed = 10 * time.Minute // before the use of a copy is reported again
)

// NewCopies returns the copies in a directory, and takes over its descriptor. It calls
// ask, with the file open, for a missing copy, at most every ten seconds; and, less
// often, for an existing copy to record its use. ask must not wait, and reports whether
// it could pass the request on; nil means that no copies are made.
func NewCopies(dir int, ask func(coding proto.Coding, fd int) bool) *Copies {
	return &Copies{dir: dir, ask: ask, asked: make(map[wanted]time.Time)}
}

// CopyName returns the name of the copy of a file in this state. Device, inode, size and both
// times identify a state, because the change time cannot be set.
func CopyName(st *unix.Stat_t, coding proto.Coding) string {
	return string(appendCopyName(nil, stampOf(st), coding))
}

func appendCopyName(dst []byte, s stamp, coding proto.Coding) []byte {
	return append(append(appendState(dst, s), '.'), coding.Token()...)
}

// appendState appends the name of a state, with which names of copies and digests begin.
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

// copied returns a copy of the file in the first of the codings that has one, and closes the
// file; without a copy it returns the file.
func (r *Root) copied(f *File, codings proto.Codings) *File {
	c, list := r.Copies, codings.List()
	if !copied(f.stamp, r.Now()) {
		r.found(CopyUnfit, nil)
		return f
	}
	for i, coding := range list {
		other, useless := c.open(r, f, coding)
		if useless {
			r.foundCoding(CopyUseless, coding)
			return f // in any coding
		}
		if i == 0 {
			c.want(f, coding, other != nil, r.Now())
		}
		if other != nil {
			other.contentType, other.cacheControl = f.contentType, f.cacheControl
			other.varies, other.coding, other.copied = true, coding, true
			f.Close()
			r.foundCoding(CopyChosen, coding)
			return other
		}
	}
	r.foundCoding(CopyMissing, list[0])
	return f
}

// open opens a copy, nil if there is none; useless means that it would be hardly smaller.
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

// want requests a copy, or reports the use of an existing one, unless it did so recently.
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
		clear(c.asked) // some are requested again a little early
	}
	c.asked[w] = now
}
