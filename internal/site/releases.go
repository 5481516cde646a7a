package site

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/rules"
)

// Releases follows a base whose target changes: its symbolic link is swapped, or another
// directory is renamed to it. Each target is a release. One is current, and earlier ones stay
// open until their last user has released them. It is safe for concurrent use.
type Releases struct {
	current atomic.Pointer[Root]
	given   []rules.Text
	mu      sync.Mutex // held while tell is called
	tell    func(News)

	// Used by watch only.
	old     []*Root
	failure string    // why the new release cannot be served; "": there is none
	told    time.Time // when failure was last reported
	tried   time.Time // when the new release was last tried
	rules   func()    // stops watching the rules of the current release

	done    chan struct{}
	running sync.WaitGroup
}

// News is an event of [Releases].
type News struct {
	Kind NewsKind
	Root *Root // the current release
	Err  error // nil: success
}

// NewsKind is the kind of [News].
type NewsKind uint8

// The kinds.
const (
	NewRelease NewsKind = iota // a new release; with Err it cannot be served, and the previous one stays
	Regained                   // the base leads to the current release again, after an error
	NewRules                   // the rules have changed; with Err the previous rules stay
)

const (
	// releaseEvery is how often the target of the base is checked.
	releaseEvery = 250 * time.Millisecond
	// retryEvery is how often a release that could not be served is tried again.
	retryEvery = 500 * time.Millisecond
	// remindEvery is how often a release that cannot be served is reported.
	remindEvery = time.Minute
)

// Follows reports whether the base of the root may change its target; see [Follow].
func (r *Root) Follows() bool { return r.parent != nil }

// Follow begins to follow the base of first, for which [Root.Follows] must be true, and whose
// rules must have been read. given are the rules that apply to every release. tell is called
// by one goroutine at a time. first belongs to the Releases from now on.
func Follow(first *Root, given []rules.Text, tell func(News)) *Releases {
	rs := &Releases{given: given, tell: tell, done: make(chan struct{})}
	rs.current.Store(first)
	rs.rules = first.WatchRules(rs.tellRules)
	rs.running.Go(rs.watch)
	return rs
}

// Name returns the name of the root relative to the directory that contains the link of its
// base; "" unless [Root.Follows] is true.
func (r *Root) Name() string { return r.at }

// Acquire returns the current release, which stays open until Release.
func (rs *Releases) Acquire() *Root {
	for {
		r := rs.current.Load()
		// If it is still current after the count, look will see the count when it replaces it.
		if r.users.Add(1); rs.current.Load() == r {
			return r
		}
		r.users.Add(-1)
	}
}

// Current returns the current release. It may be replaced and closed at any time.
func (rs *Releases) Current() *Root { return rs.current.Load() }

// Release ends one use of a release.
func (rs *Releases) Release(r *Root) { r.users.Add(-1) }

// Close stops following and closes all releases, which must not be in use.
func (rs *Releases) Close() {
	close(rs.done)
	rs.running.Wait()
	rs.rules()
	for _, r := range append(rs.old, rs.current.Load()) {
		r.Close()
	}
}

func (rs *Releases) watch() {
	tick := time.NewTicker(releaseEvery)
	defer tick.Stop()
	for {
		select {
		case <-rs.done:
			return
		case <-tick.C:
			rs.look()
		}
	}
}

// look switches to a new release if the base leads to one, and closes earlier releases that
// are no longer in use.
func (rs *Releases) look() {
	rs.old = slices.DeleteFunc(rs.old, func(r *Root) bool {
		unused := r.users.Load() == 0
		if unused {
			r.Close()
		}
		return unused
	})
	now := rs.current.Load()
	if now.parent.leadsTo(now.dir) {
		if rs.failure != "" {
			rs.failure = ""
			rs.say(News{Kind: Regained})
		}
		return
	}
	at := now.Now()
	if rs.failure != "" && at.Sub(rs.tried) < retryEvery {
		return
	}
	rs.tried = at
	next, err := now.next(rs.given)
	if err != nil {
		rs.fail(err, at)
		return
	}
	rs.failure = ""
	rs.rules()
	rs.current.Store(next)
	rs.old = append(rs.old, now)
	rs.rules = next.WatchRules(rs.tellRules)
	rs.say(News{Kind: NewRelease})
}

// fail reports why a release cannot be served, at most once per remindEvery.
func (rs *Releases) fail(err error, at time.Time) {
	if rs.failure != "" && at.Sub(rs.told) < remindEvery {
		return
	}
	rs.failure, rs.told = err.Error(), at
	rs.say(News{Kind: NewRelease, Err: err})
}

func (rs *Releases) tellRules(err error) { rs.say(News{Kind: NewRules, Err: err}) }

func (rs *Releases) say(n News) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	n.Root = rs.current.Load()
	rs.tell(n)
}

// next opens the current target of the base with the settings of this root.
func (r *Root) next(given []rules.Text) (*Root, error) {
	next, err := r.parent.openRoot(r.policy)
	if err != nil {
		return nil, err
	}
	next.Render, next.Copies, next.Digests, next.Now, next.later = r.Render, r.Copies, r.Digests, r.Now, true
	next.ShareBounds(r)
	if err := next.ReadRules(given); err != nil {
		next.Close()
		return nil, err
	}
	return next, nil
}

// errOutside is the error of a base whose link leads out of the directory that contains it.
var errOutside = errors.New("its link leads out of the directory that contains the link")

// leadsTo reports whether the target of the base is the open directory dir.
func (p *parent) leadsTo(dir int) bool {
	var now, then unix.Stat_t
	return unix.Fstatat(p.dir, p.name, &now, 0) == nil && fstat(dir, &then) == nil && now.Dev == then.Dev && now.Ino == then.Ino
}
