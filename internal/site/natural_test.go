package site

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestCompareNames(t *testing.T) {
	want := []string{
		"", "!", "0", "00", "01", "1", "2", "02a", "10", "99999999999999999999999998", "99999999999999999999999999",
		"A", "a", "a 2.txt", "a 10.txt", "B", "b", "IMG_9.jpg", "img_10.jpg", "page1-2", "page1-10", "Page2", "z", "\u00c4", "\u00e4", "\u00e41", "\xff",
	}
	for range 20 {
		got := slices.Clone(want)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, compareNames)
		if !slices.Equal(got, want) {
			t.Fatalf("%q\nwant %q", got, want)
		}
	}
}

// The order of any names is consistent.
func FuzzCompareNames(f *testing.F) {
	f.Add("a1", "A01", "a2")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if x, y := compareNames(a, b), compareNames(b, a); x != -y || (x == 0) != (a == b) {
			t.Errorf("%q, %q: %d and %d", a, b, x, y)
		}
		if compareNames(a, b) < 0 && compareNames(b, c) < 0 && compareNames(a, c) >= 0 {
			t.Errorf("%q < %q < %q, but not the first and the last", a, b, c)
		}
	})
}

// BenchmarkSortNames sorts 100,000 names, the length of a long listing.
func BenchmarkSortNames(b *testing.B) {
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("entry-%06d.html", i)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for b.Loop() {
		slices.SortFunc(slices.Clone(names), compareNames)
	}
}
