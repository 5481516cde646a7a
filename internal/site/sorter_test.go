package site

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSorter sorts lists of lengths around those of runs, and counts the comparisons of each
// step.
func TestSorter(t *testing.T) {
	most := 0
	compare := func(a, b int) int {
		most++
		return cmp.Compare(a, b)
	}
	for _, n := range []int{0, 1, 2, batch - 1, batch, batch + 1, 2 * batch, 2*batch + 1, 3 * batch, 7*batch + 5, 100 * batch} {
		list := rand.New(rand.NewPCG(uint64(n), 0)).Perm(n)
		s := sorter[int]{list: slices.Clone(list)}
		for done := false; !done; {
			most = 0
			if done = s.step(compare); most > 16*batch {
				t.Fatalf("%d elements: %d comparisons in a step", n, most)
			}
		}
		slices.Sort(list)
		if !slices.Equal(s.list, list) {
			t.Errorf("%d elements are not sorted", n)
		}
		if s.merged != nil {
			t.Errorf("%d elements are held twice", n)
		}
	}
}
