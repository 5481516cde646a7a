package site

import (
	"crypto/sha256"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Digests finds the SHA-256 digests of files' contents. Those of small files are computed
// when they are needed, others by the helper, which writes them to the cache directory. The
// name of a digest contains the state of its file, so that a digest of another state is not
// found. Digests is safe for concurrent use, also by several roots.
type Digests struct {
	dir int
	all bool
	ask func(copied bool, fd int) bool // nil: no digests are made

	mu    sync.Mutex // guards the fields below
	known map[stamp]proto.Digest
	asked map[stamp]time.Time
}

const (
	// maxDigests is the number of digests, and of requests, that are remembered.
	maxDigests = 8192
	// maxAtOnce is the size in bytes up to which a file is digested at once, which takes some
	// 10 µs, or 40 µs on a CPU without instructions for it.
	maxAtOnce = 8 << 10
)

// NewDigests returns the digests in a directory, whose descriptor is dir; with -1, only small
// files have digests. If all is true, entity tags of all files are made of digests, otherwise
// only those of files without a useful modification time (see [proto.Time.Set]). ask is
// called for a missing digest, with the descriptor of the file, at most once in ten seconds;
// copied means that the file is one of [Copies]. ask must not block, and reports whether it
// made the request; nil means that no digests are made.
func NewDigests(dir int, all bool, ask func(copied bool, fd int) bool) *Digests {
	return &Digests{dir: dir, all: all, ask: ask, known: make(map[stamp]proto.Digest), asked: make(map[stamp]time.Time)}
}

// DigestName returns the name of the digest of a file in this state. The change time of a copy
// is left out: a copy is never changed, and the time says only when it was used.
func DigestName(st *unix.Stat_t, copied bool) string {
	return string(appendDigestName(nil, digested(stampOf(st), copied)))
}

func appendDigestName(dst []byte, s stamp) []byte {
	return append(appendState(dst, s), ".sha256"...)
}

func digested(s stamp, copied bool) stamp {
	if copied {
		s.changed = proto.Time{}
	}
	return s
}

// Digestible reports whether a digest of a file in this state may be made: any later
// change leads to another state. For a copy, the time at which it was made decides, not
// that of its last use.
func Digestible(st *unix.Stat_t, copied bool, now time.Time) bool {
	return longAgo(digested(stampOf(st), copied).latest(), now)
}

// digest sets the digest of a file, if its entity tag is made of it.
func (r *Root) digest(f *File) {
	d := r.Digests
	if d == nil || !d.all && !f.modified.Set() {
		return
	}
	f.tagged = true
	s, now := digested(f.stamp, f.copied), r.Now()
	if !longAgo(s.latest(), now) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.sum, f.summed = d.known[s]; f.summed {
		return
	}
	if f.sum, f.summed = f.digestNow(); !f.summed {
		f.sum, f.summed = d.read(s)
	}
	if !f.summed {
		d.want(f, s, now)
		return
	}
	if len(d.known) >= maxDigests {
		clear(d.known) // they are read again
	}
	d.known[s] = f.sum
}

// digestNow computes the digest of a file that is small and in memory.
func (f *File) digestNow() (sum proto.Digest, ok bool) {
	if f.size > maxAtOnce || !Resident(f.fd, 0, f.size) {
		return sum, false
	}
	var space [maxAtOnce + 1]byte
	n := readAll(f.fd, space[:])
	if int64(n) != f.size || f.changed() {
		return sum, false
	}
	return sha256.Sum256(space[:n]), true
}

// read reads a digest from the cache directory.
func (d *Digests) read(s stamp) (sum proto.Digest, ok bool) {
	if d.dir < 0 {
		return sum, false
	}
	var space [MaxCopyName + 1]byte
	fd, err := openat(d.dir, append(appendDigestName(space[:0], s), 0))
	if err != nil {
		return sum, false
	}
	defer unix.Close(fd)
	var b [len(sum) + 1]byte
	if readAll(fd, b[:]) != len(sum) {
		return sum, false
	}
	return proto.Digest(b[:len(sum)]), true
}

// want requests a digest, unless it did so recently.
func (d *Digests) want(f *File, s stamp, now time.Time) {
	last, asked := d.asked[s]
	if d.ask == nil || asked && now.Sub(last) < askAgain || !d.ask(f.copied, f.fd) {
		return
	}
	if len(d.asked) >= maxDigests {
		clear(d.asked) // some are requested again a little early
	}
	d.asked[s] = now
}
