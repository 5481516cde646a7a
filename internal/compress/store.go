package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// Store is a directory of compressed copies, see [site.Copies]. It is not safe for concurrent
// use, but several stores may share a directory: a copy appears complete, by rename(2), and
// each store uses the copies of the others. The access time of a copy is the time of its last
// use.
type Store struct {
	dir  int
	most int64 // bytes of all copies
	kept int64 // bytes of all copies, as far as known
	now  func() time.Time
}

const (
	tempPrefix = "."       // prefix of the names of incomplete copies
	forgotten  = time.Hour // age at which an incomplete copy is removed even if it is locked
	fastFrom   = 1 << 20   // size in bytes from which the best level may take more than a second
)

// OpenStore returns the store in a directory, with a size limit in bytes. It owns the
// directory's descriptor from now on.
func OpenStore(dir int, most int64) (*Store, error) {
	s := &Store{dir: dir, most: most, now: time.Now}
	return s, s.evict()
}

// Kept returns the size of all copies in bytes, as far as known.
func (s *Store) Kept() int64 { return s.kept }

// Add makes a copy of a file, or records the use of an existing one. It returns the size
// of the copy in bytes and whether it is new. [ErrNotWorth] means that a copy would be
// hardly smaller; the store remembers that too.
func (s *Store) Add(ctx context.Context, file *os.File, coding proto.Coding) (size int64, made bool, err error) {
	return s.add(file, product{
		suits: func(st *unix.Stat_t) bool { return site.Copied(st, s.now()) },
		name:  func(st *unix.Stat_t) string { return site.CopyName(st, coding) },
		write: func(to *os.File, size int64) (int64, error) {
			level := Best
			if size >= fastFrom {
				level = Fast
			}
			return compress(ctx, to, file, size, coding, level)
		},
	})
}

// product is what a store makes of a file: a copy or a digest.
type product struct {
	suits func(*unix.Stat_t) bool   // reports whether it can be made of a file
	name  func(*unix.Stat_t) string // name for a state of the file
	size  int64                     // 0: any, and an empty one means that another would be useless
	write func(to *os.File, size int64) (int64, error)
}

// add makes a product, or records the use of an existing one.
func (s *Store) add(file *os.File, p product) (size int64, made bool, err error) {
	var st, there, now unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return 0, false, err
	}
	if !p.suits(&st) || st.Nlink == 0 {
		return 0, false, ErrNotWorth
	}
	name := p.name(&st)
	if unix.Fstatat(s.dir, name, &there, unix.AT_SYMLINK_NOFOLLOW) == nil && (p.size == 0 || p.size == there.Size) {
		s.use(name)
		if there.Size == 0 {
			return 0, false, ErrNotWorth
		}
		return there.Size, false, nil
	}
	to, temp, err := s.begin(name)
	if err != nil {
		return 0, false, err
	}
	defer to.Close()
	size, err = p.write(to, st.Size)
	if changing := unix.Fstat(int(file.Fd()), &now); changing != nil || p.name(&now) != name {
		err = cmp.Or(changing, ErrChanged)
	}
	useless := errors.Is(err, ErrNotWorth)
	if useless {
		size, err = 0, to.Truncate(0)
	}
	if err = settle(s.dir, temp, name, err); err == nil {
		err = s.keep(size)
	}
	if err == nil && useless {
		err = ErrNotWorth
	}
	return size, err == nil, err
}

// use sets the access time of a copy. It ignores errors: the copy may have been removed.
func (s *Store) use(name string) {
	now := unix.NsecToTimespec(s.now().UnixNano())
	_ = unix.UtimesNanoAt(s.dir, name, []unix.Timespec{now, {Nsec: unix.UTIME_OMIT}}, unix.AT_SYMLINK_NOFOLLOW)
}

// begin creates the temporary file of a copy or digest. It is locked while it is written, so
// that leftovers of a killed helper can be recognised.
func (s *Store) begin(name string) (to *os.File, temp string, err error) {
	temp = fmt.Sprintf("%s%016x.%s", tempPrefix, rand.Uint64(), name)
	if to, err = recreate(s.dir, temp); err == nil {
		_ = unix.Flock(int(to.Fd()), unix.LOCK_EX|unix.LOCK_NB) // without a lock, other stores may remove it
	}
	return to, temp, err
}

// settle renames a temporary file in a directory to its final name, or removes it if writing
// failed.
func settle(dir int, temp, name string, err error) error {
	if err == nil {
		err = unix.Renameat(dir, temp, dir, name)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, temp, 0)
	}
	return err
}

// keep counts the bytes of a new copy or digest, and evicts others if the limit is exceeded.
func (s *Store) keep(bytes int64) error {
	if s.kept += max(bytes, minKept); s.kept > s.most {
		return s.evict()
	}
	return nil
}

// abandoned removes a temporary file that no helper is writing, and reports whether it did.
func (s *Store) abandoned(temp string, st *unix.Stat_t) bool {
	old := s.now().Sub(time.Unix(st.Mtim.Sec, 0)) > forgotten
	if !old {
		fd, err := unix.Openat(s.dir, temp, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err == unix.ENOENT
		}
		defer unix.Close(fd)
		if unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) != nil {
			return false
		}
	}
	return unix.Unlinkat(s.dir, temp, 0) == nil
}

// keptCopy is a copy or digest in the directory.
type keptCopy struct {
	name string
	size int64 // bytes
	used int64 // access time in ns since 1970
}

// evict removes leftovers of killed helpers and, if the limit is exceeded, the least recently
// used copies until an eighth of it is free.
func (s *Store) evict() error {
	all, begun, err := s.list()
	if err != nil {
		return err
	}
	s.kept = begun
	for _, c := range all {
		s.kept += c.size
	}
	if s.kept <= s.most {
		return nil
	}
	slices.SortFunc(all, func(a, b keptCopy) int { return cmp.Compare(a.used, b.used) })
	for _, c := range all {
		if s.kept <= s.most-s.most/8 {
			break
		}
		if err := unix.Unlinkat(s.dir, c.name, 0); err != nil && err != unix.ENOENT {
			return err
		}
		s.kept -= c.size
	}
	return nil
}

// list returns the copies in the directory, and the bytes of copies that helpers are writing.
// It removes leftovers of killed helpers, and leaves other files alone.
func (s *Store) list() (all []keptCopy, begun int64, err error) {
	fd, err := unix.Openat(s.dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, err
	}
	dir := os.NewFile(uintptr(fd), "cache directory")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		var st unix.Stat_t
		temp := isTemp(name)
		if !temp && !isCopy(name) || unix.Fstatat(s.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		size := max(st.Size, minKept) // limits the number of empty copies too
		switch {
		case !temp:
			all = append(all, keptCopy{name, size, st.Atim.Nano()})
		case !s.abandoned(name, &st):
			begun += size
		}
	}
	return all, begun, nil
}

// minKept is the minimum size in bytes that a copy counts for.
const minKept = 512

// isTemp reports whether a name is that of a temporary file, as begin creates them.
func isTemp(name string) bool {
	name, ok := strings.CutPrefix(name, tempPrefix)
	number, name, more := strings.Cut(name, ".")
	return ok && more && len(number) == 16 && isHex(number) && isCopy(name)
}

// isCopy reports whether a name is that of a copy or a digest.
func isCopy(name string) bool {
	state, kind, _ := strings.Cut(name, ".")
	numbers := strings.Split(state, "-")
	return len(numbers) == 7 && !slices.ContainsFunc(numbers, func(n string) bool { return !isHex(n) }) &&
		slices.Contains([]string{"br", "zstd", "gzip", "sha256"}, kind)
}

func isHex(s string) bool {
	return s != "" && len(s) <= 16 && strings.Trim(s, "0123456789abcdef") == ""
}
