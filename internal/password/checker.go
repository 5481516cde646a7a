package password

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	digest "hash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"phalanx/internal/clientip"
)

// The limits of a Checker.
const (
	rememberFor = 10 * time.Minute // how long right credentials are cached
	maxKnown    = 1024             // cached credentials, right and wrong ones each
	maxQueue    = 32               // waiting checks
	maxWrong    = 10               // different wrong credentials of a client in wrongWindow
	wrongWindow = time.Minute
	maxSuspects = 4096 // clients whose wrong credentials are counted
	busyFor     = time.Second
)

// Outcome is the result of checking credentials.
type Outcome uint8

// The outcomes.
const (
	Pending    Outcome = iota // not decided yet
	Right                     // a hash was computed
	Remembered                // right, from the cache
	Wrong
	Limited // not checked: too many wrong credentials from this client
	Busy    // not checked: too many checks are waiting
	NumOutcomes
)

// Checker checks credentials. It is safe for concurrent use, and its methods, except Close, do
// not block.
type Checker struct {
	// Now returns the time; the default is time.Now. It must be set before use.
	Now func() time.Time
	// Count, if not nil, is called once with every outcome except Pending.
	Count func(Outcome)

	mu      sync.Mutex
	files   []*File // by realm
	mac     digest.Hash
	space   [sha256.Size]byte
	known   expiringMap[key, struct{}]
	refused expiringMap[key, struct{}] // wrong ones, since a browser repeats them with every request of a page
	wrong   expiringMap[netip.Prefix, int]
	pending map[key]*job
	queue   []*job // without the one being computed
	running bool
	closed  bool
	work    sync.WaitGroup
}

// key is an HMAC of a realm and credentials with a secret of this process. The cache has no
// plain hashes, which would be faster to attack than those of the file.
type key [sha256.Size]byte

// job is a check under way, for one or several requests with the same credentials.
type job struct {
	key         key
	realm       int
	credentials []byte
	client      netip.Prefix // the client that sent them first
	outcome     Outcome
	waiting     []*Check
}

// Check is a pending check for one request.
type Check struct {
	checker *Checker
	job     *job
	wake    func()
}

// NewChecker returns a checker without users; see [Checker.Use].
func NewChecker() *Checker {
	secret := make([]byte, sha256.Size)
	rand.Read(secret) // never fails
	return &Checker{
		Now: time.Now, mac: hmac.New(sha256.New, secret), pending: map[key]*job{},
		known:   expiringMap[key, struct{}]{most: maxKnown, age: rememberFor},
		refused: expiringMap[key, struct{}]{most: maxKnown, age: wrongWindow},
		wrong:   expiringMap[netip.Prefix, int]{most: maxSuspects, age: wrongWindow},
	}
}

// Use replaces the files, one for each realm; their number must not change. It clears the
// cache. A check under way is repeated with the new files.
func (c *Checker) Use(files []*File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.EqualFunc(files, c.files, func(a, b *File) bool { return a.secret == b.secret }) {
		return
	}
	c.files = files
	c.known.clear()
	c.refused.clear()
}

// Check checks credentials, "user:password", for a realm. Wrong attempts are limited per
// client address, except for the zero address. If the outcome is Pending, the caller must
// close the returned Check. If it is Limited or Busy, again is the time after which to retry.
func (c *Checker) Check(realm int, credentials []byte, client netip.Addr) (o Outcome, again time.Duration, _ *Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	k := c.keyOf(realm, credentials)
	if _, ok := c.known.get(k, now); ok {
		c.count(Remembered)
		return Remembered, 0, nil
	}
	_, password, complete := bytes.Cut(credentials, []byte(":"))
	if _, ok := c.refused.get(k, now); ok || realm >= len(c.files) || len(credentials) > MaxCredentials || len(password) > maxPassword || !complete {
		c.count(Wrong)
		return Wrong, 0, nil
	}
	j := c.pending[k]
	if j == nil {
		from := clientip.Subscriber(client)
		switch {
		case c.limited(from, now):
			c.count(Limited)
			return Limited, c.wrong.left(from, now), nil
		case c.closed, len(c.queue) >= maxQueue && !c.makeRoom(c.attempts(from, now)+1, now):
			c.count(Busy)
			return Busy, busyFor, nil
		}
		j = &job{key: k, realm: realm, credentials: bytes.Clone(credentials), client: from}
		c.pending[k] = j
		c.queue = append(c.queue, j)
	}
	check := &Check{checker: c, job: j}
	j.waiting = append(j.waiting, check)
	if !c.running {
		c.running = true
		c.work.Go(c.run)
	}
	return Pending, 0, check
}

// Close waits for the hash that is being computed, if any. Other checks stay pending.
func (c *Checker) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.work.Wait()
}

func (c *Checker) keyOf(realm int, credentials []byte) (k key) {
	c.mac.Reset()
	c.space[0] = byte(realm)
	c.mac.Write(c.space[:1])
	c.mac.Write(credentials)
	copy(k[:], c.mac.Sum(c.space[:0]))
	return k
}

// limited reports whether a client has sent too many wrong credentials.
func (c *Checker) limited(from netip.Prefix, now time.Time) bool {
	n, _ := c.wrong.get(from, now)
	return n >= maxWrong
}

func (c *Checker) count(o Outcome) {
	if c.Count != nil {
		c.Count(o)
	}
}

// run processes the queue, one job at a time, until it is empty.
func (c *Checker) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && !c.closed {
		j := c.next()
		if c.limited(j.client, c.Now()) {
			j.outcome = Limited // as many others of its client, sent at the same time, were wrong
			c.answer(j)
			continue
		}
		file := c.files[j.realm]
		user, password, _ := bytes.Cut(j.credentials, []byte(":"))
		c.mu.Unlock()
		right := file.matches(string(user), password)
		c.mu.Lock()
		c.done(j, file, right)
	}
	c.running = false
}

// done records the result of a job, or queues it again if the file was replaced in the
// meantime.
func (c *Checker) done(j *job, file *File, right bool) {
	if c.files[j.realm] != file {
		c.queue = append(c.queue, j)
		return
	}
	now := c.Now()
	if j.outcome = Wrong; right {
		j.outcome = Right
		c.known.put(j.key, struct{}{}, now)
	} else {
		c.refused.put(j.key, struct{}{}, now)
		if n, _ := c.wrong.get(j.client, now); j.client.IsValid() {
			c.wrong.put(j.client, n+1, now)
		}
	}
	c.answer(j)
}

// answer removes a job and wakes its checks.
func (c *Checker) answer(j *job) {
	c.end(j)
	for _, w := range j.waiting {
		c.count(j.outcome)
		w.call()
	}
}

// end removes a job and erases its credentials.
func (c *Checker) end(j *job) {
	clear(j.credentials)
	delete(c.pending, j.key)
}

// Outcome returns the outcome so far.
func (k *Check) Outcome() Outcome {
	k.checker.mu.Lock()
	defer k.checker.mu.Unlock()
	return k.job.outcome
}

// Await calls wake once, from any goroutine, when the outcome is known or the check is closed.
// It returns false, and does not call wake, if the outcome is known already. wake must neither
// block nor use the checker.
func (k *Check) Await(wake func()) bool {
	k.checker.mu.Lock()
	defer k.checker.mu.Unlock()
	if k.job.outcome != Pending {
		return false
	}
	k.wake = wake
	return true
}

func (k *Check) call() {
	if wake := k.wake; wake != nil {
		k.wake = nil
		wake()
	}
}

// Close ends the check. A queued job without checks is dropped.
func (k *Check) Close() {
	c, j := k.checker, k.job
	c.mu.Lock()
	defer c.mu.Unlock()
	k.call()
	if j.outcome != Pending {
		return
	}
	j.waiting = slices.DeleteFunc(j.waiting, func(other *Check) bool { return other == k })
	if slices.Contains(c.queue, j) && len(j.waiting) == 0 {
		c.unqueue(j)
		c.end(j)
	}
}
