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
)

// What is remembered, and what is not done.
const (
	rememberFor  = 10 * time.Minute // for which right credentials are remembered
	maxKnown     = 1024             // of them, and of wrong ones
	maxQueue     = 32               // checks that wait for their turn
	maxWrong     = 10               // different ones of a client within wrongWindow
	wrongWindow  = time.Minute
	maxSuspects  = 4096 // clients whose wrong credentials are counted
	busyFor      = time.Second
	networkBits6 = 64 // of an IPv6 address: a subscriber has all the rest
)

// Outcome is the result of checking credentials.
type Outcome uint8

// The outcomes.
const (
	Pending    Outcome = iota // not known yet
	Right                     // by their hash
	Remembered                // right, and no hash was computed
	Wrong
	Limited // not checked: the client has been wrong too often
	Busy    // not checked: too many others wait
	NumOutcomes
)

// Checker checks credentials. It may be used by several goroutines, and its methods never
// wait.
type Checker struct {
	// Now is the time; its default is time.Now. It is set before use.
	Now func() time.Time
	// Count is told every outcome once, but for Pending; nil: nobody wants to know.
	Count func(Outcome)

	mu      sync.Mutex
	files   []*File // by realm
	mac     digest.Hash
	space   [sha256.Size]byte
	known   fading[key, struct{}]
	refused fading[key, struct{}] // a browser sends the same with every request of a page
	wrong   fading[netip.Prefix, int]
	pending map[key]*job
	queue   []*job // without the one that is computed
	running bool
	closed  bool
	work    sync.WaitGroup
}

// key stands for a realm and credentials, under a secret of this process: who reads its
// memory has no hash that could be computed faster than that of the file.
type key [sha256.Size]byte

// job is a check under way, for one or several requests with the same credentials.
type job struct {
	key         key
	realm       int
	credentials []byte
	client      netip.Prefix // whose attempt it is
	outcome     Outcome
	waiting     []*Check
}

// Check is a check that is not done yet, for one request.
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
		known:   fading[key, struct{}]{most: maxKnown, age: rememberFor},
		refused: fading[key, struct{}]{most: maxKnown, age: wrongWindow},
		wrong:   fading[netip.Prefix, int]{most: maxSuspects, age: wrongWindow},
	}
}

// Use replaces the files. There is one for each realm, and their number never changes.
// Remembered credentials are forgotten, and a check under way is repeated with the new
// files.
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

// Check checks credentials, "user:password", for a realm. The attempts of each client
// address are limited; those of the zero address, a client without one, are not. If the
// outcome is Pending, a Check is returned, which the caller closes. If it is Limited or
// Busy, the duration says when to try again.
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
		from := network(client)
		n, _ := c.wrong.get(from, now)
		switch {
		case n >= maxWrong:
			c.count(Limited)
			return Limited, c.wrong.left(from, now), nil
		case c.closed, len(c.queue) >= maxQueue && !c.makeRoom(n+1, now):
			c.count(Busy)
			return Busy, busyFor, nil
		}
		j = &job{key: k, realm: realm, credentials: bytes.Clone(credentials), client: from}
		c.attempt(from, 1, now)
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

// Close waits for the hash that is being computed, if any. Checks that wait stay pending.
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

// network is what counts as one client: an IPv4 address, or a network of IPv6.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = networkBits6
	}
	p, _ := a.WithZone("").Prefix(bits) // that of no address is none
	return p
}

// attempt adds to what a client has tried.
func (c *Checker) attempt(from netip.Prefix, n int, now time.Time) {
	if !from.IsValid() {
		return
	}
	before, _ := c.wrong.get(from, now)
	c.wrong.put(from, max(0, before+n), now)
}

func (c *Checker) count(o Outcome) {
	if c.Count != nil {
		c.Count(o)
	}
}

// run checks what waits, one after the other, until nothing does.
func (c *Checker) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && !c.closed {
		j := c.next()
		file := c.files[j.realm]
		user, password, _ := bytes.Cut(j.credentials, []byte(":"))
		c.mu.Unlock()
		right := file.matches(string(user), password)
		c.mu.Lock()
		c.done(j, file, right)
	}
	c.running = false
}

// done ends a check whose hash was computed by the file, unless that was replaced
// meanwhile.
func (c *Checker) done(j *job, file *File, right bool) {
	if c.files[j.realm] != file {
		c.queue = append(c.queue, j)
		return
	}
	now := c.Now()
	if j.outcome = Wrong; right {
		j.outcome = Right
		c.known.put(j.key, struct{}{}, now)
		c.attempt(j.client, -1, now)
	} else {
		c.refused.put(j.key, struct{}{}, now)
	}
	c.answer(j)
}

// answer ends a job whose outcome is known.
func (c *Checker) answer(j *job) {
	c.end(j)
	for _, w := range j.waiting {
		c.count(j.outcome)
		w.call()
	}
}

// end forgets a job.
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

// Await has wake called once, from any goroutine, when the outcome is known or the check
// is closed. It returns false if the outcome is known already. wake must neither wait nor
// use the checker.
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

// Close gives up the check. A hash for which no check is left is not computed.
func (k *Check) Close() {
	c, j := k.checker, k.job
	c.mu.Lock()
	defer c.mu.Unlock()
	k.call()
	if j.outcome != Pending {
		return
	}
	j.waiting = slices.DeleteFunc(j.waiting, func(other *Check) bool { return other == k })
	if at := slices.Index(c.queue, j); at >= 0 && len(j.waiting) == 0 {
		c.queue = slices.Delete(c.queue, at, at+1)
		c.attempt(j.client, -1, c.Now())
		c.end(j)
	}
}
