package proto

import (
	"math"
	"strconv"
)

// Range is a piece of a representation: Len bytes from Off.
type Range struct{ Off, Len int64 }

// End returns the offset behind the range's last byte.
func (r Range) End() int64 { return r.Off + r.Len }

// MaxRanges is the largest number of ranges that one request gets. A request
// for more is answered with the whole representation: RFC 9110 §14.2 lets a
// server ignore Range, and CVE-2011-3192 was a server that did not.
const MaxRanges = 64

// ParseRange reads the value of a Range field (RFC 9110 §14.2) for a
// representation of size bytes and appends the satisfiable ranges to dst, in
// the order of the request, clamped to the size. Ranges that overlap or touch
// are joined: nobody gets more bytes than there are.
//
// ignored is why the field is to be ignored, if it is: an unknown unit, bad
// syntax, too many ranges, an empty representation. (No range of that is
// satisfiable, but a cache that asks for files slice by slice must be able to
// learn that one is empty, which 416 does not let it; §14.2 leaves the choice.)
// When ignored is empty and no range is returned, none was satisfiable: 416.
func ParseRange(dst []Range, value []byte, size int64) (ranges []Range, ignored string) {
	if len(value) < 6 || !EqualFold(value[:6], "bytes=") {
		return dst, "its unit is not bytes"
	}
	if size == 0 {
		return dst, "the file is empty and has no part"
	}
	list := value[6:]
	specs := 0
	for list != nil {
		var spec []byte
		if spec, list = cut(list); len(spec) == 0 {
			continue // empty list elements are allowed (RFC 9110 §5.6.1.2)
		}
		if specs++; specs > MaxRanges {
			return dst, "it asks for more than 64 ranges"
		}
		r, valid := parseSpec(spec, size)
		if !valid {
			return dst, malformedRange
		}
		if r.Len > 0 {
			dst = append(dst, r)
		}
	}
	if specs == 0 {
		return dst, malformedRange
	}
	return coalesce(dst), ""
}

const malformedRange = "it is malformed"

// parseSpec reads "first-last", "first-" or "-suffix". The range is empty if
// it is not satisfiable.
func parseSpec(spec []byte, size int64) (r Range, valid bool) {
	dash := -1
	for i, c := range spec {
		if c == '-' {
			dash = i
			break
		}
	}
	if dash < 0 {
		return Range{}, false
	}
	first, okFirst := parsePos(spec[:dash])
	last, okLast := parsePos(spec[dash+1:])
	switch {
	case dash == 0 && okLast: // the last bytes
		n := min(last, size)
		return Range{size - n, n}, true
	case !okFirst || !okLast && dash != len(spec)-1:
		return Range{}, false
	case !okLast: // to the end
		return Range{first, max(size-first, 0)}, true
	case last < first:
		return Range{}, false
	}
	return Range{first, max(min(last, size-1)-first+1, 0)}, true
}

// parsePos reads a position; one too large for an int64 is beyond any size.
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

// coalesce joins ranges that overlap or touch into the place of the first of
// them, and so keeps the order of the request (RFC 9110 §14.2, §15.3.7.2).
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
			j = i + 1 // the grown range may reach those already passed
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
