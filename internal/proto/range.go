package proto

import (
	"bytes"
	"math"
	"strconv"
)

// Range is a piece of a representation: Len bytes from Off.
type Range struct{ Off, Len int64 }

// End returns the offset after the range's last byte.
func (r Range) End() int64 { return r.Off + r.Len }

// MaxRanges is the largest number of ranges in a request. With more the Range field is ignored
// and the entire representation sent (RFC 9110 §14.2, CVE-2011-3192).
const MaxRanges = 64

// RangeOutcome is the outcome of a Range field.
type RangeOutcome uint8

// The outcomes. Except with RangeTaken, Range is ignored and the entire representation sent
// (RFC 9110 §14.2).
const (
	RangeTaken       RangeOutcome = iota // also if there is none
	RangeNotGet                          // the method is not GET
	IfRangeWeak                          // If-Range has a weak tag
	IfRangeTags                          // If-Range has more than one tag
	IfRangeNoTag                         // If-Range has a tag, and the representation has none
	IfRangeOtherTag                      // If-Range has a different tag
	IfRangeMalformed                     // If-Range is neither a tag nor a date
	IfRangeNoDate                        // If-Range has a date, and the representation has none
	IfRangeOtherDate                     // If-Range has a different date
	IfRangeYoung                         // If-Range has the right date, which is less than a second old and therefore weak
	RangeUnit                            // the unit is not bytes
	RangeEmpty                           // the representation is empty and has no part
	RangeTooMany                         // more than MaxRanges are asked for
	RangeTooLong                         // the length of all parts together overflows an int64
	RangeMalformed
)

// ParseRange parses a Range field (RFC 9110 §14.2) for a representation of size bytes. It
// appends the satisfiable ranges to dst, in the order of the request and clamped to the size.
// Ranges that overlap or touch are joined, so that no response has more bytes than the
// representation.
//
// For an empty representation Range is ignored, because caches that request files in slices
// cannot handle 416 for an empty file (§14.2 leaves the choice). RangeTaken without a range
// means that none was satisfiable: 416.
func ParseRange(dst []Range, value []byte, size int64) (ranges []Range, outcome RangeOutcome) {
	if len(value) < 6 || !EqualFold(value[:6], "bytes=") {
		return dst, RangeUnit
	}
	if size == 0 {
		return dst, RangeEmpty
	}
	list := value[6:]
	specs := 0
	for list != nil {
		var spec []byte
		if spec, list = cut(list); len(spec) == 0 {
			continue // empty list elements are allowed (RFC 9110 §5.6.1.2)
		}
		if specs++; specs > MaxRanges {
			return dst, RangeTooMany
		}
		r, valid := parseSpec(spec, size)
		if !valid {
			return dst, RangeMalformed
		}
		if r.Len > 0 {
			dst = append(dst, r)
		}
	}
	if specs == 0 {
		return dst, RangeMalformed
	}
	return coalesce(dst), RangeTaken
}

// parseSpec parses "first-last", "first-" or "-suffix". The range is empty if it is not
// satisfiable.
func parseSpec(spec []byte, size int64) (r Range, valid bool) {
	from, to, ok := bytes.Cut(spec, []byte("-"))
	if !ok {
		return Range{}, false
	}
	first, okFirst := parsePos(from)
	last, okLast := parsePos(to)
	switch {
	case len(from) == 0 && okLast: // the last bytes
		n := min(last, size)
		return Range{size - n, n}, true
	case !okFirst || !okLast && len(to) > 0:
		return Range{}, false
	case !okLast: // to the end
		return Range{first, max(size-first, 0)}, true
	case last < first:
		return Range{}, false
	}
	return Range{first, max(min(last, size-1)-first+1, 0)}, true
}

// parsePos parses a position or a length. One too large for an int64 becomes the largest int64.
func parsePos(p []byte) (n int64, ok bool) {
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		if digit := int64(c - '0'); n <= (math.MaxInt64-digit)/10 {
			n = n*10 + digit
		} else {
			n = math.MaxInt64
		}
	}
	return n, len(p) > 0
}

// coalesce joins ranges that overlap or touch. The result takes the place of the first of
// them, which keeps the order of the request (RFC 9110 §14.2, §15.3.7.2).
func coalesce(ranges []Range) []Range {
	for i := 0; i < len(ranges); i++ {
		for j := i + 1; j < len(ranges); {
			a, b := ranges[i], ranges[j]
			if b.Off > a.End() || a.Off > b.End() {
				j++
				continue
			}
			off := min(a.Off, b.Off)
			ranges[i] = Range{off, max(a.End(), b.End()) - off}
			ranges = append(ranges[:j], ranges[j+1:]...)
			j = i + 1 // the longer range may touch earlier ones
		}
	}
	return ranges
}

// AppendContentRange appends "bytes first-last/size" (RFC 9110 §14.4).
func AppendContentRange(dst []byte, r Range, size int64) []byte {
	dst = append(dst, "bytes "...)
	dst = strconv.AppendInt(dst, r.Off, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, r.End()-1, 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, size, 10)
}
