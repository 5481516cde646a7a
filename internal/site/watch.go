package site

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// rulesEvery is how often rules files are checked while they change, or if inotify does not
// report their changes. Files are read when they have not changed for that long, so that a
// file written in pieces is not read halfway.
const rulesEvery = 250 * time.Millisecond

// WatchRules reads the rules files again when they have changed, and calls tell with the
// result: nil, or why the previous rules stay. It is called after [Root.ReadRules], and ends
// with stop.
func (r *Root) WatchRules(tell func(error)) (stop func()) {
	if !r.policy.Rules || r.shares != nil {
		return func() {}
	}
	done, changed := make(chan struct{}), make(chan struct{}, 1) // one notice is enough
	stopNotices := func() {}
	told := !r.later && keepsNanoseconds(r.dir) // otherwise inotify may be forbidden, or the file system remote
	if told {
		stopNotices = r.notices.watch(r.dir, changed)
		told = stopNotices != nil
	}
	var running sync.WaitGroup
	running.Go(func() { r.followRules(told, changed, done, tell) })
	return func() {
		close(done)
		if told {
			stopNotices()
		}
		running.Wait()
	}
}

// followRules reads the rules files when they have changed, until done is closed. If told is
// true and changed reports all changes, it sleeps between them.
func (r *Root) followRules(told bool, changed, done <-chan struct{}, tell func(error)) {
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for last := r.ruleFiles.seen; ; {
		now := r.ruleStamps()
		switch {
		case now == last && now != r.ruleFiles.seen:
			err := r.readRules(now)
			if errors.Is(err, errChanging) {
				r.ruleFiles.seen = [2]stamp{} // read them again
				break
			}
			tell(err)
		case now == last && told && r.rulesAreHere():
			tick.Stop()
			select {
			case <-done:
				return
			case <-changed:
			}
			tick.Reset(rulesEvery)
		}
		last = now
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// rulesAreHere reports whether every change of a rules file is reported as an event of the root
// directory: each file is a regular file with one link there, or missing.
func (r *Root) rulesAreHere() bool {
	var dir, st unix.Stat_t
	if fstat(r.dir, &dir) != nil {
		return false
	}
	for _, name := range [2]string{redirectsFile, headersFile} {
		switch err := unix.Fstatat(r.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
		case err == unix.ENOENT:
		case err != nil, st.Mode&unix.S_IFMT != unix.S_IFREG, st.Nlink != 1, st.Dev != dir.Dev:
			return false
		}
	}
	return true
}
