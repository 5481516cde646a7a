package site

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"phalanx/internal/proto"
)

// plantMany creates a directory with n files.
func plantMany(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = inMemoryDir(t)
	for i := range n {
		f, err := os.Create(fmt.Sprintf("%s/a-file-of-the-name-%07d.txt", dir, i))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return dir
}

// prepare reads the whole directory.
func prepare(l *Listing) proto.Status {
	for {
		if ready, status := l.Prepare(); ready || status != proto.StatusOK {
			return status
		}
	}
}

// of12 returns queries and formats. No two give the same listing.
func of12(r *Root, i int) (*Listing, proto.Status) {
	by := []string{"name", "size", "time"}[i%3]
	direction := []string{"asc", "desc"}[i/3%2]
	return r.List([]byte("/"), []byte("?sort="+by+"&order="+direction), i/6%2 == 1, new(proto.Access))
}

// However many clients request listings and do not read them, the memory stays within the
// budget, and is released when they disconnect.
func TestListingsAreBounded(t *testing.T) {
	const entries = 3000
	r := openRoot(t, plantMany(t, entries))
	r.policy.List = true
	one := int64(listingCost + entries*(entryCost+int64(len("a-file-of-the-name-0000000.txt"))))
	r.listings.max = 5*one + one/2
	var held []*Listing
	refused := 0
	for i := range 12 {
		l, status := of12(r, i)
		if status == proto.StatusOK {
			status = prepare(l)
		}
		switch {
		case status == proto.StatusServiceUnavailable && l != nil:
			refused++
			l.Close()
		case status == proto.StatusOK:
			held = append(held, l)
		default:
			t.Fatal(status)
		}
		if n := r.listings.held.Load(); n > r.listings.max {
			t.Fatalf("%d bytes are held, want at most %d", n, r.listings.max)
		}
	}
	if len(held) != 5 || refused != 7 {
		t.Errorf("%d listings are held, %d refused", len(held), refused)
	}
	held[0].Close()
	l, _ := of12(r, 11)
	if status := prepare(l); status != proto.StatusOK {
		t.Errorf("a listing was closed, but there is no room: %d", status)
	}
	for _, l := range append(held[1:], l) {
		l.Close()
		l.Close() // twice is once
	}
	checkNothingHeld(t, r)
}

func checkNothingHeld(t *testing.T, r *Root) {
	t.Helper()
	r.making.Wait() // a listing may still be being sorted
	if n := r.listings.held.Load(); n != 0 || len(r.shared.byKind) != 0 {
		t.Errorf("%d bytes and %d listings are held after all were closed", n, len(r.shared.byKind))
	}
}

// Two listings that are read at the same time share the budget.
func TestListingsThatGrowTogether(t *testing.T) {
	const entries = 3000
	r := openRoot(t, plantMany(t, entries))
	r.policy.List = true
	r.listings.max = listingCost + entries*(entryCost+40)
	a, _ := r.List([]byte("/"), nil, false, new(proto.Access))
	b, _ := r.List([]byte("/"), nil, true, new(proto.Access))
	defer a.Close()
	var status [2]proto.Status
	for ready := [2]bool{}; !ready[0] || !ready[1]; {
		for i, l := range []*Listing{a, b} {
			if ready[i] {
				continue
			}
			if ready[i], status[i] = l.Prepare(); status[i] != proto.StatusOK {
				ready[i] = true
				l.Close()
			}
		}
	}
	if status[0] == status[1] || min(status[0], status[1]) != proto.StatusOK {
		t.Errorf("%v", status)
	}
}

// A listing whose client has left is charged until its entries have been sorted: the goroutine
// that sorts them holds them.
func TestListingIsChargedWhileSorted(t *testing.T) {
	r := openRoot(t, plantMany(t, 2*batch))
	r.policy.List = true
	l, _ := r.List([]byte("/"), nil, false, new(proto.Access))
	c := l.listed
	c.mu.Lock() // the sort does not end meanwhile
	for more := true; more; {
		var cost int64
		cost, more = c.read()
		c.charge(cost)
	}
	c.sort()
	l.Close()
	held := r.listings.held.Load()
	c.mu.Unlock()
	if least := int64(2 * batch * entryCost); held < least {
		t.Errorf("%d bytes are charged during the sort, want at least %d", held, least)
	}
	r.making.Wait()
	checkNothingHeld(t, r)
}

// A listing is charged no less than it holds.
func TestListingCost(t *testing.T) {
	r := openRoot(t, plantMany(t, 20000))
	r.policy.List = true
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, _ := r.List([]byte("/"), nil, false, new(proto.Access))
	if status := prepare(l); status != proto.StatusOK {
		t.Fatal(status)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used, charged := int64(after.HeapAlloc)-int64(before.HeapAlloc), r.listings.held.Load(); used > charged {
		t.Errorf("%d bytes are held, %d charged", used, charged)
	}
	l.Close()
}

// Several roots have one budget.
func TestRootsShareBudget(t *testing.T) {
	one, two := listingRoot(t, t.TempDir()), listingRoot(t, t.TempDir())
	two.ShareBounds(one)
	one.listings.max = listingCost + listingCost/2
	first, status := one.List([]byte("/"), nil, false, new(proto.Access))
	if status != proto.StatusOK {
		t.Fatal(status)
	}
	if l, status := two.List([]byte("/"), nil, false, new(proto.Access)); status != proto.StatusServiceUnavailable {
		t.Fatalf("%v, status %d", l, status)
	}
	first.Close()
	second, status := two.List([]byte("/"), nil, false, new(proto.Access))
	if status != proto.StatusOK {
		t.Fatal(status)
	}
	second.Close()
}
