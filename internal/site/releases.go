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

// Releases are the roots to which a base leads in the course of time: a symbolic link is
// swapped, or another directory is given its name. One is current, and those before it
// stay open until their last user is gone. They may be used by several goroutines.
type Releases struct {
	current atomic.Pointer[Root]
	given   []rules.Text
	mu      sync.Mutex // held while tell is called
	tell    func(News)

	// What only the watch uses.
	old     []*Root
	failure string    // why the base cannot be followed; "": it can
	told    time.Time // when that was told last
	tried   time.Time // when it was tried last
	rules   func()    // ends the watch for the current one's rules

	done    chan struct{}
	running sync.WaitGroup
}

// News is what [Releases] tell: another release is current, a base can be followed again,
// or cannot be, or rules of the current release have changed, or could not be read.
type News struct {
	Kind NewsKind
	Root *Root // the current release
	Err  error // nil: it went well
}

// NewsKind says what [News] are about.
type NewsKind uint8

// The kinds.
const (
	NewRelease NewsKind = iota // after an error the release before stays
	Regained                   // the base leads to the current release, after it did not
	NewRules                   // after an error those before stay
)

const (
	// releaseEvery is how often it is looked where the base leads.
	releaseEvery = 250 * time.Millisecond
	// retryEvery is how often a release is tried that could not be served.
	retryEvery = 500 * time.Millisecond
	// remindEvery is how often it is told that the base cannot be followed.
	remindEvery = time.Minute
)

// Follows reports whether the base may lead to another root in time; see [Follow].
func (r *Root) Follows() bool { return r.place != nil }

// Follow begins to watch where the base of a root leads, which [Root.Follows]. given are
// the rules beside those of each release. tell is called by one goroutine at a time. The
// root, whose rules have been read, is theirs from now on.
func Follow(first *Root, given []rules.Text, tell func(News)) *Releases {
	rs := &Releases{given: given, tell: tell, done: make(chan struct{})}
	rs.current.Store(first)
	rs.rules = first.WatchRules(rs.tellRules)
	rs.running.Go(rs.watch)
	return rs
}

// Name returns the name of the root beneath the directory that its base, or the link to it,
// lies in; empty unless it [Root.Follows].
func (r *Root) Name() string { return r.at }

// Take returns the current release, which stays open until it is given back.
func (rs *Releases) Take() *Root {
	for {
		r := rs.current.Load()
		// Once it is counted and still current, whoever replaces it sees the count.
		if r.users.Add(1); rs.current.Load() == r {
			return r
		}
		r.users.Add(-1)
	}
}

// Current returns the current release, which may be another one, and be closed, at any
// time.
func (rs *Releases) Current() *Root { return rs.current.Load() }

// Give gives back a release that was taken.
func (rs *Releases) Give(r *Root) { r.users.Add(-1) }

// Close ends the watch and closes all releases. None is used any more.
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

// look takes another release if the base leads to one, and closes those that nobody uses
// any longer.
func (rs *Releases) look() {
	rs.old = slices.DeleteFunc(rs.old, func(r *Root) bool {
		unused := r.users.Load() == 0
		if unused {
			r.Close()
		}
		return unused
	})
	now := rs.current.Load()
	if now.place.leadsTo(now.dir) {
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

// fail tells why a release cannot be served, unless that was told a short while ago.
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

// next opens what the base leads to now, to be served as this root is.
func (r *Root) next(given []rules.Text) (*Root, error) {
	next, err := r.place.openRoot(r.policy)
	if err != nil {
		return nil, err
	}
	next.Render, next.Copies, next.Digests, next.Now, next.later = r.Render, r.Copies, r.Digests, r.Now, true
	next.Beside(r)
	if err := next.ReadRules(given); err != nil {
		next.Close()
		return nil, err
	}
	return next, nil
}

// errOutside is why a release is not served.
var errOutside = errors.New("it leads out of the directory that it lies in")

// leadsTo reports whether the base leads to a directory that is open.
func (p *place) leadsTo(dir int) bool {
	var now, then unix.Stat_t
	return unix.Fstatat(p.dir, p.name, &now, 0) == nil && fstat(dir, &then) == nil && now.Dev == then.Dev && now.Ino == then.Ino
}
