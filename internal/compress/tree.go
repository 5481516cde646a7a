package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// Config configures [Tree].
type Config struct {
	Codings  []proto.Coding
	Level    Level
	Jobs     int            // copies made at a time, at least 1
	DryRun   bool           // write nothing, and count what would be done
	Progress func(Progress) // called after each copy, with a lock held; nil: not called
}

// Progress is the progress of [Tree]. Bytes are those of files, once for each coding.
type Progress struct {
	Copies, AllCopies int
	Bytes, AllBytes   int64
}

// Result is the result of [Tree].
type Result struct {
	Files         int    // files worth compressing by their types and sizes
	Made          int    // copies made
	UpToDate      int    // copies that were up to date
	NotWorth      int    // copies not made because they would hardly be smaller
	Foreign       int    // copies older than their files that others made: they are not sent
	Removed       int    // copies removed because their files are gone
	Failed        int    // copies that failed
	Before, After int64  // bytes of the files of the copies made, and of these copies
	First         error  // of the first copy that failed
	FirstForeign  string // name of the first foreign copy
}

// Add adds the result of another tree.
func (r *Result) Add(o Result) {
	r.Files += o.Files
	r.Made += o.Made
	r.UpToDate += o.UpToDate
	r.NotWorth += o.NotWorth
	r.Foreign += o.Foreign
	r.Removed += o.Removed
	r.Failed += o.Failed
	r.Before += o.Before
	r.After += o.After
	r.First = cmp.Or(r.First, o.First)
	r.FirstForeign = cmp.Or(r.FirstForeign, o.FirstForeign)
}

// Tree writes compressed copies beside the files of a root that are worth it, and removes
// copies that it made of files that are gone. Copies that are up to date or that others made
// are left alone. If it is stopped or killed, the next call continues.
//
// After an error, the result is what was done before it. Errors of single files are in the
// result.
func Tree(ctx context.Context, root *site.Root, cfg Config) (Result, error) {
	j, err := openJournal(root, cfg.DryRun)
	if err != nil {
		return Result{}, err
	}
	t := &tree{Config: cfg, root: root, journal: j, served: make(map[string]bool)}
	err = t.run(ctx)
	if closing := j.close(func(name string) bool { return t.partial || t.served[name] }); err == nil {
		err = closing
	}
	return t.Result, err
}

// tree is the state of [Tree].
type tree struct {
	Config
	Result
	root    *site.Root
	journal *journal
	served  map[string]bool // possible names of copies of existing files
	partial bool            // served is incomplete

	mu       sync.Mutex // guards Result, progress
	progress Progress
}

// job is a copy to be made.
type job struct {
	of     site.Source
	coding proto.Coding
	name   string
}

func (t *tree) run(ctx context.Context) error {
	var all []site.Source
	t.partial = true
	err := t.root.Sources(func(s site.Source) error {
		if s.Stat.Size >= site.MinCopied {
			all = append(all, s)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	t.partial = false
	t.Files = len(all)
	slices.SortFunc(all, func(a, b site.Source) int { // the largest first, so that the last one does not take long
		return cmp.Or(cmp.Compare(b.Stat.Size, a.Stat.Size), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range all {
		for coding := proto.Gzip; coding <= proto.Brotli; coding++ {
			t.served[s.Name+coding.Suffix()] = true
		}
	}
	t.clean()
	var jobs []job
	for _, s := range all {
		jobs = append(jobs, t.plan(s)...)
	}
	for _, j := range jobs {
		t.progress.AllCopies++
		t.progress.AllBytes += j.of.Stat.Size
	}
	if t.DryRun {
		t.Made, t.Before = t.progress.AllCopies, t.progress.AllBytes
		return nil
	}
	return t.work(ctx, jobs)
}

// clean removes temporary files of an earlier run, and copies of files that are gone. Errors
// are ignored: what they leave behind is not sent.
func (t *tree) clean() {
	for name := range t.journal.begun {
		if dir, base, err := t.root.OpenDirectory(name); err == nil && !t.DryRun {
			_ = unix.Unlinkat(int(dir.Fd()), temporary(base), 0)
			dir.Close()
		}
		delete(t.journal.begun, name)
	}
	for name := range t.journal.made {
		if t.served[name] || !isCopyName(name) {
			continue
		}
		dir, base, err := t.root.OpenDirectory(name)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && t.journal.has(name, &st) {
			if t.DryRun || unix.Unlinkat(int(dir.Fd()), base, 0) == nil {
				t.Removed++
			}
		}
		dir.Close()
	}
}

// isCopyName reports whether a name has the suffix of a copy.
func isCopyName(name string) bool {
	for coding := proto.Gzip; coding <= proto.Brotli; coding++ {
		if strings.HasSuffix(name, coding.Suffix()) {
			return true
		}
	}
	return false
}

// plan returns the copies of a file that have to be made, and counts the others.
func (t *tree) plan(s site.Source) (jobs []job) {
	dir, base, err := t.root.OpenDirectory(s.Name)
	if err != nil {
		t.fail(s.Name, err)
		return nil
	}
	defer dir.Close()
	for _, coding := range t.Codings {
		name := s.Name + coding.Suffix()
		var st unix.Stat_t
		err := unix.Fstatat(int(dir.Fd()), base+coding.Suffix(), &st, unix.AT_SYMLINK_NOFOLLOW)
		ours := err == nil && t.journal.has(name, &st)
		switch {
		case err == unix.ENAMETOOLONG:
		case err != nil && err != unix.ENOENT:
			t.fail(name, err)
		case ours && st.Mtim == s.Stat.Mtim, err == nil && !ours && st.Mtim.Nano() >= s.Stat.Mtim.Nano():
			t.UpToDate++
		case err == nil && !ours:
			if t.Foreign++; t.FirstForeign == "" {
				t.FirstForeign = name
			}
		case t.journal.notWorth(name, &s.Stat):
			t.NotWorth++
		default:
			jobs = append(jobs, job{s, coding, name})
		}
	}
	return jobs
}

// work makes copies, several at a time, until one fails with an error that all would have.
func (t *tree) work(ctx context.Context, jobs []job) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan job, len(jobs)) // has all jobs
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	var running sync.WaitGroup
	for range max(t.Jobs, 1) {
		running.Go(func() {
			for j := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := t.copy(ctx, j); hopeless(err) {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// hopeless reports whether every other copy would fail as this one did.
func hopeless(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO}, func(errno error) bool { return errors.Is(err, errno) })
}

// copy makes a copy and counts the outcome.
func (t *tree) copy(ctx context.Context, j job) error {
	size, err := t.write(ctx, j)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.Made++
		t.Before += j.of.Stat.Size
		t.After += size
	case err == ErrNotWorth:
		t.NotWorth++
		err = nil
	case ctx.Err() != nil:
		return err
	default:
		err = t.fail(j.name, err)
	}
	t.progress.Copies++
	t.progress.Bytes += j.of.Stat.Size
	if t.Progress != nil {
		t.Progress(t.progress)
	}
	return err
}

// fail counts a copy that cannot be made, and returns why.
func (t *tree) fail(name string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); !ok {
		err = &fs.PathError{Op: "write", Path: name, Err: err}
	}
	if t.Failed++; t.First == nil {
		t.First = err
	}
	return err
}

// write makes a copy under a temporary name and renames it when it is complete, so that an
// incomplete copy is never seen. It returns the size of the copy.
func (t *tree) write(ctx context.Context, j job) (size int64, err error) {
	from, err := t.root.OpenName(j.of.Name)
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: j.of.Name, Err: err}
	}
	defer from.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return 0, err
	}
	dir, base, err := t.root.OpenDirectory(j.name)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	if err := t.journal.write("begun", j.name, mark{}); err != nil {
		return 0, err
	}
	temp := temporary(base)
	to, err := recreate(int(dir.Fd()), temp)
	if err != nil {
		return 0, err
	}
	defer to.Close()
	size, err = compress(ctx, to, from, st.Size, j.coding, t.Level)
	if err == nil {
		err = t.finish(j.name, to, from, &st, mark{size, st.Mtim.Nano()})
	}
	err = settle(int(dir.Fd()), temp, base, err)
	switch {
	case err == nil:
		return size, t.journal.write("done", j.name, mark{})
	case err == ErrNotWorth:
		t.discard(dir, base, j.name)
		return 0, cmp.Or(t.journal.write("none", j.name, markOf(&st)), err)
	}
	return 0, err
}

// recreate creates a file after removing the one with the same name, which is never written
// to: it could be a link to another file, by a user who guessed the name.
func recreate(dir int, name string) (*os.File, error) {
	if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
		return nil, err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// finish gives a copy the owner, permissions and modification time of its file, and records it
// in the journal. The owner is not changed if this process may not.
func (t *tree) finish(name string, to, from *os.File, st *unix.Stat_t, m mark) error {
	_ = unix.Fchown(int(to.Fd()), int(st.Uid), int(st.Gid))
	if err := unix.Fchmod(int(to.Fd()), st.Mode&0o777); err != nil {
		return err
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, st.Mtim}
	// By descriptor: the name may belong to another file by now.
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", to.Fd()), times, 0); err != nil {
		return err
	}
	var now unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &now); err != nil || markOf(&now) != markOf(st) || now.Ctim != st.Ctim {
		return cmp.Or(err, ErrChanged)
	}
	return t.journal.write("made", name, m)
}

// discard removes a copy of an earlier state of a file whose copy is no longer worth it.
func (t *tree) discard(dir *os.File, base, name string) {
	var st unix.Stat_t
	if unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && t.journal.has(name, &st) {
		_ = unix.Unlinkat(int(dir.Fd()), base, 0) // on an error it is not sent either: it is older than the file
	}
}

// temporary returns the temporary name of a copy. It is always the same, so that a later run
// finds what an earlier one has left.
func temporary(base string) string {
	h := fnv.New64a()
	h.Write([]byte(base))
	return fmt.Sprintf("%s%016x", site.OwnPrefix, h.Sum64())
}
