package password

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// gated is a hash that counts its computations and waits until it may continue.
type gated struct {
	gate     chan struct{} // nil: it does not wait
	computed *atomic.Int32
	right    string
}

func (h gated) matches(password []byte) bool {
	h.computed.Add(1)
	if h.gate != nil {
		<-h.gate
	}
	return string(password) == h.right
}

// fixture is a checker with the user ann, whose password is "right", and a clock.
type fixture struct {
	*Checker
	t        *testing.T
	hash     gated
	now      atomic.Int64
	outcomes [NumOutcomes]atomic.Int32
}

func newFixture(t *testing.T, gate chan struct{}) *fixture {
	f := &fixture{Checker: NewChecker(), t: t, hash: gated{gate, new(atomic.Int32), "right"}}
	f.Now = func() time.Time { return time.Unix(f.now.Load(), 0) }
	f.Count = func(o Outcome) { f.outcomes[o].Add(1) }
	f.Use([]*File{f.file(1), f.file(2)})
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) file(secret byte) *File {
	return &File{users: map[string]hash{"ann": f.hash}, hashes: []hash{f.hash}, secret: [32]byte{secret}}
}

// try checks credentials and waits for the outcome.
func (f *fixture) try(credentials string, client string) Outcome {
	f.t.Helper()
	o, _, check := f.Check(0, []byte(credentials), netip.MustParseAddr(client))
	if check == nil {
		return o
	}
	return f.await(check)
}

func (f *fixture) await(check *Check) Outcome {
	f.t.Helper()
	done := make(chan struct{})
	if check.Await(func() { close(done) }) {
		<-done
	}
	defer check.Close()
	return check.Outcome()
}

func (f *fixture) computed(want int32) {
	f.t.Helper()
	if n := f.hash.computed.Swap(0); n != want {
		f.t.Errorf("%d hashes computed, want %d", n, want)
	}
}

// Credentials are remembered for a while, for one realm and until a file changes. Credentials
// that cannot be right are never hashed.
func TestRemembered(t *testing.T) {
	f := newFixture(t, nil)
	expect := func(got, want Outcome, hashes int32) {
		t.Helper()
		if got != want {
			t.Errorf("outcome %d, want %d", got, want)
		}
		f.computed(hashes)
	}
	expect(f.try("ann:right", "192.0.2.1"), Right, 1)
	expect(f.try("ann:right", "192.0.2.2"), Remembered, 0)
	expect(f.try("ann:wrong", "192.0.2.1"), Wrong, 1)
	expect(f.try("ann:wrong", "192.0.2.1"), Wrong, 0)
	expect(f.try("bob:right", "192.0.2.1"), Wrong, 1) // as much as for a user that is there
	expect(f.try("ann", "192.0.2.1"), Wrong, 0)
	expect(f.try("ann:"+string(bytes.Repeat([]byte("x"), MaxCredentials)), "192.0.2.1"), Wrong, 0)
	expect(f.try("ann:"+strings.Repeat("x", maxPassword), "192.0.2.9"), Wrong, 1)
	expect(f.try("ann:"+strings.Repeat("x", maxPassword+1), "192.0.2.9"), Wrong, 0) // the hash of a long one takes longer
	_, _, check := f.Check(1, []byte("ann:right"), netip.Addr{})
	expect(f.await(check), Right, 1) // another realm
	f.now.Add(int64(rememberFor/time.Second) - 1)
	expect(f.try("ann:right", "192.0.2.1"), Remembered, 0)
	f.now.Add(1)
	expect(f.try("ann:right", "192.0.2.1"), Right, 1)
	f.Use([]*File{f.file(1), f.file(2)}) // the same again
	expect(f.try("ann:right", "192.0.2.1"), Remembered, 0)
	f.Use([]*File{f.file(3), f.file(2)})
	expect(f.try("ann:right", "192.0.2.1"), Right, 1)
	if f.outcomes[Right].Load() != 4 || f.outcomes[Remembered].Load() != 3 || f.outcomes[Wrong].Load() != 7 {
		t.Errorf("counted: %v right, %v remembered, %v wrong", &f.outcomes[Right], &f.outcomes[Remembered], &f.outcomes[Wrong])
	}
}

// A client with too many wrong attempts is not checked for a while, from any address of its
// network. Others are, and remembered credentials are never limited.
func TestLimited(t *testing.T) {
	f := newFixture(t, nil)
	for i := range maxWrong {
		if o := f.try(fmt.Sprintf("ann:%d", i), fmt.Sprintf("2001:db8::%d", i)); o != Wrong {
			t.Fatalf("attempt %d: %d", i, o)
		}
	}
	f.now.Add(10)
	f.computed(maxWrong)
	o, again, check := f.Check(0, []byte("ann:right"), netip.MustParseAddr("2001:db8::ffff"))
	if o != Limited || check != nil || again != wrongWindow-10*time.Second {
		t.Errorf("%d, again in %v", o, again)
	}
	f.computed(0)
	for _, other := range []string{"2001:db8:0:1::1", "192.0.2.1"} {
		if o := f.try("ann:right", other); o != Right && o != Remembered {
			t.Errorf("%s: %d", other, o)
		}
	}
	if o := f.try("ann:right", "2001:db8::1"); o != Remembered {
		t.Errorf("right credentials: %d", o)
	}
	f.now.Add(50)
	if o := f.try("ann:9", "2001:db8::1"); o != Wrong {
		t.Errorf("a minute later: %d", o)
	}
	f.computed(2)
	for range 3 * maxWrong {
		if o := f.try("ann:9", "2001:db8::1"); o != Wrong {
			t.Fatalf("the same credentials again: %d", o)
		}
	}
	f.computed(0)
	for i := range 3 * maxWrong { // clients without an address are many
		_, _, check := f.Check(0, fmt.Appendf(nil, "ann:x%d", i), netip.Addr{})
		if o := f.await(check); o != Wrong {
			t.Fatalf("without an address: %d", o)
		}
	}
}

// Many attempts at once do not circumvent the limit: those that wait are limited once enough others
// were wrong. Right ones do not count.
func TestLimitedAtOnce(t *testing.T) {
	gate := make(chan struct{})
	f := newFixture(t, gate)
	client := netip.MustParseAddr("192.0.2.1")
	var checks []*Check
	for i := range 2 * maxWrong {
		o, _, check := f.Check(0, fmt.Appendf(nil, "ann:%d", i), client)
		if o != Pending {
			t.Fatalf("attempt %d: %d", i, o)
		}
		checks = append(checks, check)
	}
	close(gate)
	for i, check := range checks {
		if o := f.await(check); (o != Wrong || i >= maxWrong) && (o != Limited || i < maxWrong) {
			t.Errorf("attempt %d: %d", i, o)
		}
	}
	f.computed(maxWrong)
	if o, again, _ := f.Check(0, []byte("ann:right"), client); o != Limited || again != wrongWindow {
		t.Errorf("once all were wrong: %d, again in %v", o, again)
	}
	for i := range 3 * maxWrong {
		f.now.Add(int64(rememberFor / time.Second))
		if o := f.try("ann:right", "192.0.2.7"); o != Right {
			t.Fatalf("right for the %dth time: %d", i, o)
		}
	}
}

// Many users of one address, who all send their passwords at once, are served.
func TestManyUsersOfAnAddress(t *testing.T) {
	gate := make(chan struct{})
	f := newFixture(t, gate)
	const users = maxQueue
	file := f.file(3)
	for i := range users {
		file.users[fmt.Sprint("user", i)] = f.hash
	}
	f.Use([]*File{file, f.file(2)})
	var checks []*Check
	for i := range users {
		o, _, check := f.Check(0, fmt.Appendf(nil, "user%d:right", i), netip.MustParseAddr("192.0.2.1"))
		if o != Pending {
			t.Fatalf("user %d: %d", i, o)
		}
		checks = append(checks, check)
	}
	close(gate)
	for i, check := range checks {
		if o := f.await(check); o != Right {
			t.Errorf("user %d: %d", i, o)
		}
	}
	if o := f.try("ann:wrong", "192.0.2.1"); o != Wrong {
		t.Errorf("the first wrong password: %d", o)
	}
}

// One hash is computed at a time, and requests with the same credentials wait for the same
// one. When there are too many, clients are told to try again. A hash that is no longer needed
// is not computed.
func TestQueue(t *testing.T) {
	gate := make(chan struct{})
	f := newFixture(t, gate)
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}) }
	var same []*Check
	for i := range 20 {
		_, _, check := f.Check(0, []byte("ann:right"), client(i))
		same = append(same, check)
	}
	gate <- struct{}{} // one hash for all of them
	for _, check := range same {
		if o := f.await(check); o != Right {
			t.Errorf("%d", o)
		}
	}
	f.computed(1)
	var waiting []*Check
	for i := 0; ; i++ {
		o, again, check := f.Check(0, fmt.Appendf(nil, "ann:%d", i), client(i))
		if o == Busy {
			if again <= 0 || i < maxQueue || i > maxQueue+1 {
				t.Errorf("busy after %d, again in %v", i, again)
			}
			break
		}
		waiting = append(waiting, check)
	}
	if o, _, _ := f.Check(0, []byte("ann:right"), client(0)); o != Remembered {
		t.Errorf("right credentials: %d", o)
	}
	woken := false
	for i, check := range waiting[2:] {
		check.Await(func() { woken = true })
		if check.Close(); !woken {
			t.Fatalf("check %d: no notification of its end", i)
		}
	}
	close(gate)
	for _, check := range waiting[:2] {
		if o := f.await(check); o != Wrong {
			t.Errorf("%d", o)
		}
	}
	f.Close()
	f.computed(2)
	if len(f.pending) != 0 || len(f.queue) != 0 || f.running {
		t.Errorf("%d checks pending, %d in the queue", len(f.pending), len(f.queue))
	}
}

// Clients that guess do not delay others: the client with the fewest attempts comes first, and
// replaces one with more attempts in a full queue.
func TestGuessersDoNotDelayOthers(t *testing.T) {
	gate := make(chan struct{})
	f := newFixture(t, gate)
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	var guesses []*Check
	for i := 0; len(guesses) <= maxQueue; i++ {
		client := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 4)})
		o, _, check := f.Check(0, fmt.Appendf(nil, "ann:%d", i), client)
		if o != Pending {
			t.Fatalf("guess %d: %d", i, o)
		}
		guesses = append(guesses, check)
		for i == 0 && f.hash.computed.Load() == 0 {
			time.Sleep(time.Millisecond) // until it is no longer in the queue
		}
	}
	_, _, first := f.Check(0, []byte("ann:right"), netip.MustParseAddr("198.51.100.1"))
	_, _, second := f.Check(0, []byte("ann:wrong"), netip.MustParseAddr("198.51.100.2"))
	if first == nil || second == nil {
		t.Fatal("a client without attempts is refused")
	}
	if o, _, _ := f.Check(0, []byte("ann:more"), netip.MustParseAddr("192.0.2.0")); o != Busy && o != Limited {
		t.Errorf("one more guess: %d", o)
	}
	for range 3 { // the guess that had begun, and theirs
		gate <- struct{}{}
	}
	if o := f.await(first); o != Right {
		t.Errorf("the first: %d", o)
	}
	if o := f.await(second); o != Wrong {
		t.Errorf("the second: %d", o)
	}
	release()
	outcomes := map[Outcome]int{}
	for _, check := range guesses {
		outcomes[f.await(check)]++
	}
	if outcomes[Wrong] != maxQueue-1 || outcomes[Busy] != 2 || f.outcomes[Busy].Load()+f.outcomes[Limited].Load() != 3 {
		t.Errorf("guesses %v", outcomes)
	}
}

// If the file changes while a hash is computed, the new file decides.
func TestChangedMeanwhile(t *testing.T) {
	gate := make(chan struct{})
	f := newFixture(t, gate)
	_, _, check := f.Check(0, []byte("ann:right"), netip.Addr{})
	gate <- struct{}{}
	f.await(check)
	_, _, check = f.Check(0, []byte("ann:old"), netip.Addr{})
	for f.hash.computed.Load() < 2 {
		time.Sleep(time.Millisecond) // until the old file computes it
	}
	other := f.hash
	other.right = "old"
	f.Use([]*File{{users: map[string]hash{"ann": other}, hashes: []hash{other}}, f.file(2)})
	close(gate)
	if o := f.await(check); o != Right {
		t.Errorf("with the new file: %d", o)
	}
	if o := f.try("ann:right", "192.0.2.1"); o != Wrong {
		t.Errorf("with the old file: %d", o)
	}
}

// The number of remembered credentials is bounded. The oldest are removed first.
func TestBounds(t *testing.T) {
	f := expiringMap[int, int]{most: 3, age: time.Second}
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	for i := range 5 {
		f.put(i, i, at(i))
	}
	f.put(4, 40, at(900)) // it does not get younger
	for k, want := range map[int]bool{0: false, 1: false, 2: true, 3: true, 4: true} {
		if _, ok := f.get(k, at(901)); ok != want {
			t.Errorf("%d is there: %v", k, ok)
		}
	}
	if v, _ := f.get(4, at(901)); v != 40 || f.left(4, at(904)) != 100*time.Millisecond {
		t.Errorf("%d, left %v", v, f.left(4, at(904)))
	}
	if f.put(9, 9, at(1003)); len(f.order) != 2 || len(f.entries) != 2 {
		t.Errorf("%v", f.order)
	}
}

// A check of remembered credentials allocates nothing.
func TestRememberedAllocatesNothing(t *testing.T) {
	f := newFixture(t, nil)
	f.try("ann:right", "192.0.2.1")
	credentials, client := []byte("ann:right"), netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(1000, func() {
		if o, _, _ := f.Check(0, credentials, client); o != Remembered {
			t.Fatal(o)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRemembered(b *testing.B) {
	c := NewChecker()
	defer c.Close()
	c.known.put(c.keyOf(0, []byte("ann:right")), struct{}{}, time.Now())
	for b.Loop() {
		c.Check(0, []byte("ann:right"), netip.Addr{})
	}
}
