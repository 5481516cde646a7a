package scoreboard

import (
	"encoding/json"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// What processes counted for a site is kept when they have exited, when a reload has given the
// site another number, and after an upgrade. Only configured sites are counted.
func TestSites(t *testing.T) {
	b := newBoard(t)
	b.Configure([]string{"*", "a.org", "b.org"})
	row, w := worker(t, b, 0)
	b.SetSites(row, []string{"*", "a.org", "b.org"})
	w.Sites[1].Requests[2].Add(5)
	w.Sites[2].Requests[4].Add(7)
	w.Sites[2].Bytes.Add(100)
	check := func(b *Board, want map[string]SiteTotals) {
		t.Helper()
		if got := b.Sites(); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	ofA, ofB := SiteTotals{Requests: [6]uint64{2: 5}}, SiteTotals{Requests: [6]uint64{4: 7}, Bytes: 100}
	check(b, map[string]SiteTotals{"*": {}, "a.org": ofA, "b.org": ofB})

	// A reload removes the first and adds one: b.org has another number now.
	other, w := worker(t, b, 0)
	b.SetSites(other, []string{"*", "b.org", "c.org"})
	w.Sites[1].Requests[4].Add(1)
	b.Configure([]string{"*", "b.org", "c.org"})
	if err := b.Close(row); err != nil {
		t.Fatal(err)
	}
	ofB.Requests[4]++
	want := map[string]SiteTotals{"*": {}, "b.org": ofB, "c.org": {}}
	check(b, want)

	text, err := json.Marshal(b.State())
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if s.Fd, err = unix.Dup(b.Descriptor()); err != nil {
		t.Fatal(err)
	}
	next, err := Resume(s)
	if err != nil {
		t.Fatal(err)
	}
	check(next, want)
	next.Configure(nil)
	check(next, map[string]SiteTotals{})
}

// A program that counts no sites, or more than the limit, does no harm.
func TestForeignSites(t *testing.T) {
	b := newBoard(t)
	b.Configure([]string{"a.org"})
	row, _ := worker(t, b, 0)
	many := make([]string, MaxSites+5)
	many[len(many)-1] = "a.org"
	b.SetSites(row, many)
	b.SetSites(row+1, many)
	if got := b.Sites(); len(got) != 1 || got["a.org"] != (SiteTotals{}) {
		t.Errorf("%v", got)
	}
}
