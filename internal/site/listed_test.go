package site

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// old makes a directory look unchanged for a while.
func old(t *testing.T, dir string) {
	t.Helper()
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, then, then); err != nil {
		t.Fatal(err)
	}
}

// whole returns the text of a prepared listing.
func whole(l *Listing) (text []byte) {
	for done := false; !done; {
		text, done, _ = l.Append(text)
	}
	return text
}

// A hundred listings of one directory cost as much memory as one, whether they are requested at
// once or one a minute, and each is complete.
func TestListingsAreShared(t *testing.T) {
	const entries = 3000
	for _, apart := range []time.Duration{0, time.Minute} {
		t.Run(apart.String(), func(t *testing.T) {
			dir := plantMany(t, entries)
			old(t, dir)
			r := openRoot(t, dir)
			r.policy.List = true
			now := time.Now()
			r.Now = func() time.Time { return now }
			one := int64(listingCost + entries*(entryCost+int64(len("a-file-of-the-name-0000000.txt"))))
			r.listings.max = 2 * one // one that is read, and one that may be equal
			var all []*Listing
			for range 100 {
				l, status := r.List([]byte("/"), nil, false, new(proto.Access))
				if status != proto.StatusOK {
					t.Fatal(status)
				}
				if all = append(all, l); apart > 0 {
					if status := prepare(l); status != proto.StatusOK {
						t.Fatal(status)
					}
				}
				now = now.Add(apart)
			}
			if apart == 0 {
				for i := 0; i < len(all); { // as a loop does: each continues a little
					if ready, status := all[i].Prepare(); status != proto.StatusOK {
						t.Fatal(status)
					} else if ready {
						i++
					}
				}
			}
			if n := r.listings.held.Load(); n != one {
				t.Errorf("%d bytes are held, one takes %d", n, one)
			}
			if !slices.IsSortedFunc(all[0].entries, all[0].compare) {
				t.Error("the entries are not sorted")
			}
			want := whole(all[0])
			if n := bytes.Count(want, []byte("</td></tr>\n")); n != entries {
				t.Errorf("%d entries", n)
			}
			for i, l := range all[1:] {
				if all[i].Close(); !bytes.Equal(whole(l), want) || !bytes.Equal(l.ETag(), all[0].ETag()) {
					t.Fatalf("listing %d differs", i+1)
				}
			}
			all[99].Close()
			checkNothingHeld(t, r)
		})
	}
}

// A new or removed name is visible in the next listing, even if others are still being read. The
// size of a file is updated after a second.
func TestSharedListingIsFresh(t *testing.T) {
	dir := plantMany(t, 3)
	r := openRoot(t, dir)
	r.policy.List = true
	now := time.Now()
	r.Now = func() time.Time { return now }
	var held []*Listing
	list := func() *Listing {
		t.Helper()
		l, status := r.List([]byte("/"), nil, true, new(proto.Access))
		if status != proto.StatusOK || prepare(l) != proto.StatusOK {
			t.Fatal(status)
		}
		held = append(held, l)
		return l
	}
	first := list()
	for i := range 50 {
		name := fmt.Sprintf("new-%d", i)
		plant(t, dir, name+": ")
		if l := list(); len(l.entries) != 4 {
			t.Fatalf("%d entries after one was added", len(l.entries))
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if l := list(); len(l.entries) != 3 || l.listed != first.listed {
			t.Fatalf("%d entries after one was removed, held twice: %v", len(l.entries), l.listed != first.listed)
		}
	}
	old(t, dir)
	list()
	plant(t, dir, "a-file-of-the-name-0000000.txt: more")
	now = now.Add(sharedFor)
	if l := list(); l.entries[0].size != 4 {
		t.Errorf("a file of 4 bytes is listed with %d", l.entries[0].size)
	}
	for _, l := range held {
		l.Close()
	}
	checkNothingHeld(t, r)
}

// Goroutines share a listing too, and some close it before it is ready.
func TestListingsAreSharedByGoroutines(t *testing.T) {
	dir := plantMany(t, 2000)
	old(t, dir)
	r := openRoot(t, dir)
	r.policy.List = true
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() {
			l, status := r.List([]byte("/"), nil, false, new(proto.Access))
			if status != proto.StatusOK {
				t.Error(status)
				return
			}
			defer l.Close()
			if i%3 == 0 {
				l.Prepare()
				return
			}
			if status := prepare(l); status != proto.StatusOK || bytes.Count(whole(l), []byte("</td></tr>\n")) != 2000 {
				t.Errorf("%d, or incomplete", status)
			}
		})
	}
	work.Wait()
	checkNothingHeld(t, r)
}
