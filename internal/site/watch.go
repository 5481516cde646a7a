package site

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// rulesEvery is how often files of rules are looked at while they change, or where the
// kernel does not tell that they do. A change is taken when it has not gone on for that
// long: whoever writes a file in pieces is not read halfway.
const rulesEvery = 250 * time.Millisecond

// WatchRules takes files of rules anew when they have changed, and tells what came of it:
// nil, or why the rules before stay. It is called after [Root.ReadRules]; stop ends it.
func (r *Root) WatchRules(tell func(error)) (stop func()) {
	if !r.policy.Rules || r.shares != nil {
		return func() {}
	}
	done, changed := make(chan struct{}), make(chan struct{}, 1) // one is as good as many
	stopNotices := func() {}
	told := !r.later && keepsNanoseconds(r.dir) // else it may not be told, or the directory may be another kernel's
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

// followRules reads the files when they have changed, until done is closed. While changed
// will say that they do, nothing is done.
func (r *Root) followRules(told bool, changed, done <-chan struct{}, tell func(error)) {
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for last := r.ruleFiles.seen; ; {
		now := r.ruleStamps()
		switch {
		case now == last && now != r.ruleFiles.seen:
			err := r.readRules(now)
			if errors.Is(err, errChanging) {
				r.ruleFiles.seen = [2]stamp{} // once more
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

// rulesAreHere reports whether no file of rules can change without a change in the root
// directory: each is a file of it alone, or missing.
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
