package proto

// Validators are what a representation is known by (RFC 9110 §8.8).
type Validators struct {
	ETag     []byte // strong, with quotes; nil when there is none
	Modified int64  // seconds since 1970
	Date     int64  // the time of the reply, seconds since 1970
}

// condition is the outcome of one precondition.
type condition uint8

const (
	condAbsent condition = iota // the field is not there, or not to be looked at
	condTrue
	condFalse
)

// Precondition evaluates the preconditions of a GET or HEAD request in the
// order of RFC 9110 §13.2.2 (steps 1 to 4). It returns 200 when the request is
// to be performed, or else 304 or 412.
func Precondition(r *Request, head []byte, v Validators) Status {
	if r.present&(1<<FieldIfMatch|1<<FieldIfNoneMatch|1<<FieldIfModifiedSince|1<<FieldIfUnmodifiedSince) == 0 {
		return StatusOK
	}
	c := ifMatch(r, head, v)
	if c == condAbsent {
		c = ifUnmodifiedSince(r, head, v)
	}
	if c == condFalse {
		return StatusPreconditionFailed
	}
	c = ifNoneMatch(r, head, v)
	if c == condAbsent {
		c = ifModifiedSince(r, head, v)
	}
	if c == condFalse {
		return StatusNotModified
	}
	return StatusOK
}

// ifMatch is RFC 9110 §13.1.1: strong comparison; "*" is true for any
// current representation.
func ifMatch(r *Request, head []byte, v Validators) condition {
	return matchTags(r, head, FieldIfMatch, v, true)
}

// ifNoneMatch is RFC 9110 §13.1.2: weak comparison, and false if a tag
// matches.
func ifNoneMatch(r *Request, head []byte, v Validators) condition {
	switch matchTags(r, head, FieldIfNoneMatch, v, false) {
	case condTrue:
		return condFalse
	case condFalse:
		return condTrue
	}
	return condAbsent
}

func matchTags(r *Request, head []byte, f Field, v Validators, strong bool) condition {
	if !r.Has(f) {
		return condAbsent
	}
	for value := range r.Values(head, f) {
		if string(value) == "*" || v.ETag != nil && listed(value, v.ETag, strong) {
			return condTrue
		}
	}
	return condFalse
}

// ifModifiedSince is RFC 9110 §13.1.3. A date that is malformed, or later
// than the server's own, is ignored.
func ifModifiedSince(r *Request, head []byte, v Validators) condition {
	since, ok := onlyDate(r, head, FieldIfModifiedSince, v.Date)
	switch {
	case !ok || since > v.Date:
		return condAbsent
	case v.Modified <= since:
		return condFalse
	}
	return condTrue
}

// ifUnmodifiedSince is RFC 9110 §13.1.4.
func ifUnmodifiedSince(r *Request, head []byte, v Validators) condition {
	since, ok := onlyDate(r, head, FieldIfUnmodifiedSince, v.Date)
	switch {
	case !ok:
		return condAbsent
	case v.Modified <= since:
		return condTrue
	}
	return condFalse
}

// onlyDate returns the date that the field has for its only value.
func onlyDate(r *Request, head []byte, f Field, now int64) (unix int64, ok bool) {
	if !r.Has(f) || r.repeated&(1<<f) != 0 {
		return 0, false
	}
	return ParseDate(r.Value(head, f), now)
}

// RangeApplies reports whether If-Range, if it is there, lets the Range
// field be looked at (RFC 9110 §13.1.5): its tag must match by strong
// comparison, or its date be exactly the modification time and that time old
// enough to be a strong validator: a second before the reply (§8.8.2.2).
func RangeApplies(r *Request, head []byte, v Validators) bool {
	if !r.Has(FieldIfRange) {
		return true
	}
	value := r.Value(head, FieldIfRange)
	if tag, weak, rest, ok := cutETag(value); ok {
		return !weak && len(rest) == 0 && v.ETag != nil && string(tag) == string(v.ETag)
	}
	date, ok := ParseDate(value, v.Date)
	return ok && date == v.Modified && v.Date > v.Modified
}
