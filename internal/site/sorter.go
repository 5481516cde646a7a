package site

import "slices"

// sorter sorts a list in steps, each of about as much work as reading a batch of it. Sorting 100,000
// entries takes a fifth of a second; done at once, it would hold up all other connections.
type sorter[E any] struct {
	list   []E
	merged []E // merged runs of list, pair by pair
	sorted int // number of elements of list in runs
	width  int // length of a run
	left   int // index in list of the next element of a pair's first run
	right  int // index in list of the next element of its second run
}

// step does a part of the work, and reports whether the list is sorted.
func (s *sorter[E]) step(compare func(a, b E) int) bool {
	n := len(s.list)
	if s.sorted < n {
		run := s.list[s.sorted:min(s.sorted+batch, n)]
		slices.SortFunc(run, compare)
		s.sorted, s.width = s.sorted+len(run), batch
		return n <= batch
	}
	for range 8 * batch { // as many comparisons as sorting a run takes
		if s.width >= n {
			s.merged = nil
			return true
		}
		s.merge(compare)
	}
	return false
}

// merge moves one element from a pair of runs.
func (s *sorter[E]) merge(compare func(a, b E) int) {
	n, at := len(s.list), len(s.merged)
	if s.merged == nil {
		s.merged = make([]E, 0, n)
	}
	first := at - at%(2*s.width)
	second, end := min(first+s.width, n), min(first+2*s.width, n)
	if at == first {
		s.left, s.right = first, second
	}
	if s.right == end || s.left < second && compare(s.list[s.left], s.list[s.right]) <= 0 {
		s.merged = append(s.merged, s.list[s.left])
		s.left++
	} else {
		s.merged = append(s.merged, s.list[s.right])
		s.right++
	}
	if at+1 == n {
		s.list, s.merged = s.merged, s.list[:0]
		s.width *= 2
	}
}
