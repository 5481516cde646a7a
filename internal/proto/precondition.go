package proto

// Validators are the validators of a representation (RFC 9110 §8.8).
type Validators struct {
	ETag     []byte // strong, with quotes; nil when there is none
	Modified int64  // seconds since 1970
	Undated  bool   // the modification time is unknown
	Date     int64  // the time of the reply, seconds since 1970
}

// Outcome is the outcome of one precondition.
type Outcome uint8

// The outcomes.
const (
	OutcomeNone    Outcome = iota // its field is missing, or another one takes precedence
	OutcomeNoDate                 // ignored: its value is not one valid date
	OutcomeUndated                // ignored: the representation has no date
	OutcomeTrue
	OutcomeFalse
)

// decides reports whether the precondition was evaluated, so that the other one of its pair is
// not.
func (o Outcome) decides() bool { return o >= OutcomeTrue }

// Conditions are the outcomes of a request's preconditions, in the order of evaluation.
type Conditions struct {
	IfMatch, IfUnmodifiedSince, IfNoneMatch, IfModifiedSince Outcome
}

// Precondition evaluates the preconditions of a GET or HEAD request in the order of RFC 9110
// §13.2.2 (steps 1 to 4). It returns 200 if the request is to be performed, or else 304 or
// 412.
func Precondition(r *Request, head []byte, v Validators) (s Status, c Conditions) {
	if r.present&(1<<FieldIfMatch|1<<FieldIfNoneMatch|1<<FieldIfModifiedSince|1<<FieldIfUnmodifiedSince) == 0 {
		return StatusOK, c
	}
	if c.IfMatch = ifMatch(r, head, v); !c.IfMatch.decides() {
		c.IfUnmodifiedSince = ifUnmodifiedSince(r, head, v)
	}
	if c.IfMatch == OutcomeFalse || c.IfUnmodifiedSince == OutcomeFalse {
		return StatusPreconditionFailed, c
	}
	if c.IfNoneMatch = ifNoneMatch(r, head, v); !c.IfNoneMatch.decides() {
		c.IfModifiedSince = ifModifiedSince(r, head, v)
	}
	if c.IfNoneMatch == OutcomeFalse || c.IfModifiedSince == OutcomeFalse {
		return StatusNotModified, c
	}
	return StatusOK, c
}

// ifMatch evaluates If-Match (RFC 9110 §13.1.1): strong comparison; "*" matches any
// representation.
func ifMatch(r *Request, head []byte, v Validators) Outcome {
	return matchTags(r, head, FieldIfMatch, v, true)
}

// ifNoneMatch evaluates If-None-Match (RFC 9110 §13.1.2): weak comparison, false if a tag
// matches.
func ifNoneMatch(r *Request, head []byte, v Validators) Outcome {
	return not(matchTags(r, head, FieldIfNoneMatch, v, false))
}

func matchTags(r *Request, head []byte, f Field, v Validators, strong bool) Outcome {
	if !r.Has(f) {
		return OutcomeNone
	}
	for value := range r.Values(head, f) {
		if string(value) == "*" || v.ETag != nil && listed(value, v.ETag, strong) {
			return OutcomeTrue
		}
	}
	return OutcomeFalse
}

// ifModifiedSince evaluates If-Modified-Since (RFC 9110 §13.1.3).
func ifModifiedSince(r *Request, head []byte, v Validators) Outcome {
	return not(unmodifiedSince(r, head, FieldIfModifiedSince, v))
}

// ifUnmodifiedSince evaluates If-Unmodified-Since (RFC 9110 §13.1.4).
func ifUnmodifiedSince(r *Request, head []byte, v Validators) Outcome {
	return unmodifiedSince(r, head, FieldIfUnmodifiedSince, v)
}

// unmodifiedSince compares the modification time with the date of a field. A malformed date is
// ignored, and so is any date if the representation has none. A date in the future is valid.
func unmodifiedSince(r *Request, head []byte, f Field, v Validators) Outcome {
	since, ok := onlyDate(r, head, f, v.Date)
	switch {
	case !r.Has(f):
		return OutcomeNone
	case !ok:
		return OutcomeNoDate
	case v.Undated:
		return OutcomeUndated
	case v.Modified <= since:
		return OutcomeTrue
	}
	return OutcomeFalse
}

// not returns the outcome of the opposite condition.
func not(o Outcome) Outcome {
	switch o {
	case OutcomeTrue:
		return OutcomeFalse
	case OutcomeFalse:
		return OutcomeTrue
	}
	return o
}

// onlyDate returns the date of a field that occurs once.
func onlyDate(r *Request, head []byte, f Field, now int64) (unix int64, ok bool) {
	if !r.Has(f) || r.repeated&(1<<f) != 0 {
		return 0, false
	}
	return ParseDate(r.Value(head, f), now)
}

// RangeApplies evaluates If-Range (RFC 9110 §13.1.5). It returns RangeTaken if Range applies,
// or else why not. A tag must match by strong comparison. A date must equal the modification
// time, which must be at least a second before the reply to be a strong validator (§8.8.2.2).
func RangeApplies(r *Request, head []byte, v Validators) RangeOutcome {
	if !r.Has(FieldIfRange) {
		return RangeTaken
	}
	value := r.Value(head, FieldIfRange)
	if tag, weak, rest, ok := cutETag(value); ok {
		switch {
		case weak:
			return IfRangeWeak
		case len(rest) > 0:
			return IfRangeTags
		case v.ETag == nil:
			return IfRangeNoTag
		case string(tag) != string(v.ETag):
			return IfRangeOtherTag
		}
		return RangeTaken
	}
	date, ok := ParseDate(value, v.Date)
	switch {
	case !ok:
		return IfRangeMalformed
	case v.Undated:
		return IfRangeNoDate
	case date != v.Modified:
		return IfRangeOtherDate
	case v.Date <= v.Modified:
		return IfRangeYoung
	}
	return RangeTaken
}
