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

// Config says how a tree is compressed.
type Config struct {
	Codings  []proto.Coding
	Level    Level
	Jobs     int            // at a time, at least 1
	DryRun   bool           // nothing is written, and all counts are of what would be
	Progress func(Progress) // called from several goroutines; nil: nobody wants to know
}

// Progress is how far a tree is compressed. Bytes are those of files, once for each coding.
type Progress struct {
	Copies, AllCopies int
	Bytes, AllBytes   int64
}

// Result says what was done in a tree.
type Result struct {
	Files         int   // that are worth compressing by their types and sizes
	Made          int   // copies, now
	UpToDate      int   // copies that were there
	NotWorth      int   // copies that would not be smaller
	Foreign       int   // copies older than their files, made by somebody else: they are not sent
	Removed       int   // copies of files that are gone
	Failed        int   // copies
	Before, After int64 // bytes that the copies made now were made of, and have
	First         error // of those that failed
	FirstForeign  string
}

// Add adds what became of another tree.
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
// those that it made of files that are gone. What is up to date is left alone, and so is
// what somebody else has made. It can be ended at any time, and continues the next time.
//
// An error ends it early, with what had been done; what concerns one file is in the result.
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

// tree is one that is being compressed.
type tree struct {
	Config
	Result
	root    *site.Root
	journal *journal
	served  map[string]bool // names of copies of what there is
	partial bool            // it is not known what there is

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
		if s.Stat.Size >= MinSize {
			all = append(all, s)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	t.partial = false
	t.Files = len(all)
	slices.SortFunc(all, func(a, b site.Source) int { // the longest first, so that the last does not keep all waiting
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

// clean removes what a run before has left, and copies of files that are gone. An error
// leaves something that is not sent.
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

// isCopyName reports whether a name is one that a copy may have.
func isCopyName(name string) bool {
	for coding := proto.Gzip; coding <= proto.Brotli; coding++ {
		if strings.HasSuffix(name, coding.Suffix()) {
			return true
		}
	}
	return false
}

// plan returns which copies of a file have to be made.
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

// work makes copies, several at a time, until one of them fails in a way in which all would.
func (t *tree) work(ctx context.Context, jobs []job) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan job)
	var running sync.WaitGroup
	for range max(t.Jobs, 1) {
		running.Go(func() {
			for j := range queue {
				if err := t.copy(ctx, j); hopeless(err) {
					cancel(err)
				}
			}
		})
	}
	for _, j := range jobs {
		select {
		case queue <- j:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	running.Wait()
	return context.Cause(ctx)
}

// hopeless reports whether every other copy would fail as this one did.
func hopeless(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO}, func(errno error) bool { return errors.Is(err, errno) })
}

// copy makes a copy, and counts what came of it.
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

// write makes a copy under another name, and renames it when it is complete: whoever looks
// sees a whole copy or none. It returns the size.
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
	if err := t.journal.say("begun", j.name, mark{}); err != nil {
		return 0, err
	}
	temp := temporary(base)
	to, err := createAnew(int(dir.Fd()), temp)
	if err != nil {
		return 0, err
	}
	defer to.Close()
	size, err = File(ctx, to, from, st.Size, j.coding, t.Level)
	if err == nil {
		err = t.finish(j.name, to, from, &st, mark{size, st.Mtim.Nano()})
	}
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), temp, int(dir.Fd()), base)
	}
	if err != nil {
		_ = unix.Unlinkat(int(dir.Fd()), temp, 0)
	}
	switch {
	case err == nil:
		return size, t.journal.say("done", j.name, mark{})
	case err == ErrNotWorth:
		t.discard(dir, base, j.name)
		return 0, cmp.Or(t.journal.say("none", j.name, markOf(&st)), err)
	}
	return 0, err
}

// createAnew creates a file in place of the one that has the name. That one is never written
// to: it may be a link to a file elsewhere, made by somebody who foresaw the name.
func createAnew(dir int, name string) (*os.File, error) {
	if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
		return nil, err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// finish gives a copy what the file has: its owner, permissions and time. The owner stays
// another where this process may not change it.
func (t *tree) finish(name string, to, from *os.File, st *unix.Stat_t, m mark) error {
	_ = unix.Fchown(int(to.Fd()), int(st.Uid), int(st.Gid))
	if err := unix.Fchmod(int(to.Fd()), st.Mode&0o777); err != nil {
		return err
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, st.Mtim}
	// By descriptor: the name may lead to another file by now.
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", to.Fd()), times, 0); err != nil {
		return err
	}
	var now unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &now); err != nil || markOf(&now) != markOf(st) || now.Ctim != st.Ctim {
		return cmp.Or(err, ErrChanged)
	}
	return t.journal.say("made", name, m)
}

// discard removes a copy that was made of the file before, and is not worth it now.
func (t *tree) discard(dir *os.File, base, name string) {
	var st unix.Stat_t
	if unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && t.journal.has(name, &st) {
		_ = unix.Unlinkat(int(dir.Fd()), base, 0) // it is older than the file, and not sent
	}
}

// temporary returns the name under which a copy is written until it is complete: always the
// same, so that a later run finds what was left.
func temporary(base string) string {
	h := fnv.New64a()
	h.Write([]byte(base))
	return fmt.Sprintf("%s%016x", site.OwnPrefix, h.Sum64())
}
