package proto

import (
	"math"
	"strings"
	"testing"
)

const (
	past    = "Sat, 05 Nov 1994 08:49:37 GMT"
	present = "Sun, 06 Nov 1994 08:49:37 GMT" // when the representation was modified
	later   = "Mon, 07 Nov 1994 08:49:37 GMT"
	future  = "Fri, 11 Nov 2044 08:49:37 GMT" // later than the server's clock
)

var example = Validators{ETag: []byte(`"a"`), Modified: exampleTime, Date: exampleTime + 7*86400}

// parsed is the request with the fields.
func parsed(t testing.TB, fields ...string) (*Request, []byte) {
	t.Helper()
	raw := []byte(get(fields...))
	var p Parser
	if p.Parse(raw) != Complete {
		t.Fatalf("%q: %+v", raw, p.Fault())
	}
	return p.Request(), raw
}

func TestETagLists(t *testing.T) {
	tests := []struct {
		name, list   string
		strong, weak bool
	}{
		{"8.8.3.2 the same", `"a"`, true, true},
		{"8.8.3.2 weak", `W/"a"`, false, true},
		{"8.8.3.2 another", `"b"`, false, false},
		{"8.8.3.2 case counts", `"A"`, false, false},
		{"8.8.3 lower-case w", `w/"a"`, false, false},
		{"8.8.3 no quotes", `a`, false, false},
		{"8.8.3 no quote at the end", `"a`, false, false},
		{"8.8.3 single quotes", `'a'`, false, false},
		{"8.8.3 empty", ``, false, false},
		{"8.8.3 empty tag", `""`, false, false},
		{"8.8.3 a backslash escapes nothing", `"\"a"`, false, false},
		{"8.8.3 comma inside", `"x,y", "a"`, true, true},
		{"8.8.3 obs-text inside", "\"\xff\", \"a\"", true, true},
		{"8.8.3 space inside", `"x y", "a"`, false, false},
		{"8.8.3 space behind W/", `W/ "a"`, false, false},
		{"5.6.1 list", `"b", "a"`, true, true},
		{"5.6.1 no space", `"b","a"`, true, true},
		{"5.6.1 empty elements", `, ,"b",,	"a" ,`, true, true},
		{"5.6.1 no comma", `"b" "a"`, false, false},
		{"5.6.1 malformed before", `b, "a"`, false, false},
		{"5.6.1 malformed behind", `"a", b`, true, true},
		{"5.6.1 a match with garbage behind", `"a"b`, true, true},
		{"5.6.1 weak and strong", `W/"a", "a"`, true, true},
		{"8.8.3 the star is no tag of a list", `"b", *`, false, false},
	}
	for _, tt := range tests {
		t.Run("9110-"+tt.name, func(t *testing.T) {
			if got := listed([]byte(tt.list), []byte(`"a"`), true); got != tt.strong {
				t.Errorf("%q by strong comparison: %v", tt.list, got)
			}
			if got := listed([]byte(tt.list), []byte(`"a"`), false); got != tt.weak {
				t.Errorf("%q by weak comparison: %v", tt.list, got)
			}
		})
	}
}

func TestAppendETag(t *testing.T) {
	if got := AppendETag(nil, Time{0, 0x1234}, 0xab, ""); string(got) != `"1234-ab"` {
		t.Errorf("%s", got)
	}
	for c := Identity; c < numCodings; c++ {
		for _, n := range []int64{0, -1, math.MaxInt64, math.MinInt64} {
			tag := AppendETag(nil, Time{n, 999999999}, n, c.Token())
			got, weak, rest, ok := cutETag(tag)
			if !ok || weak || len(rest) != 0 || string(got) != string(tag) {
				t.Errorf("9110-8.8.3: %s is no entity tag", tag)
			}
		}
	}
}

// The matrix of RFC 9110 §13.2.2: the result of each step, and which one decides.
func TestPreconditionPrecedence(t *testing.T) {
	tests := []struct {
		name   string
		status Status
		fields string
	}{
		{"none", 200, ""},
		{"step 1 true", 200, `If-Match: "a"`},
		{"step 1 star", 200, `If-Match: *`},
		{"step 1 false", 412, `If-Match: "b"`},
		{"step 1 by strong comparison", 412, `If-Match: W/"a"`},
		{"step 1 malformed", 412, `If-Match: a`},
		{"step 1 empty", 412, `If-Match:`},
		{"step 1 on two lines", 200, `If-Match: "b"|If-Match: "a"`},
		{"step 1 true beats step 2", 200, `If-Match: "a"|If-Unmodified-Since: ` + past},
		{"step 1 false beats step 2", 412, `If-Match: "b"|If-Unmodified-Since: ` + later},
		{"step 1 true goes on to step 3", 304, `If-Match: "a"|If-None-Match: "a"`},
		{"step 1 true goes on to step 4", 304, `If-Match: *|If-Modified-Since: ` + present},
		{"step 1 false beats step 3", 412, `If-Match: "b"|If-None-Match: "a"`},
		{"step 2 true", 200, `If-Unmodified-Since: ` + present},
		{"step 2 true, later", 200, `If-Unmodified-Since: ` + later},
		{"step 2 false", 412, `If-Unmodified-Since: ` + past},
		{"step 2 malformed", 200, `If-Unmodified-Since: yesterday`},
		{"step 2 as a list", 200, `If-Unmodified-Since: ` + past + ", " + past},
		{"step 2 repeated", 200, `If-Unmodified-Since: ` + past + `|If-Unmodified-Since: ` + past},
		{"step 2 true goes on to step 3", 304, `If-Unmodified-Since: ` + later + `|If-None-Match: "a"`},
		{"step 2 false beats step 3", 412, `If-Unmodified-Since: ` + past + `|If-None-Match: "a"`},
		{"step 2 false beats step 4", 412, `If-Unmodified-Since: ` + past + `|If-Modified-Since: ` + later},
		{"step 3 false", 304, `If-None-Match: "a"`},
		{"step 3 star", 304, `If-None-Match: *`},
		{"step 3 by weak comparison", 304, `If-None-Match: W/"a"`},
		{"step 3 true", 200, `If-None-Match: "b"`},
		{"step 3 on two lines", 304, `If-None-Match: "b"|X: y|If-None-Match: "c", "a"`},
		{"step 3 true beats step 4", 200, `If-None-Match: "b"|If-Modified-Since: ` + later},
		{"step 3 false beats step 4", 304, `If-None-Match: "a"|If-Modified-Since: ` + past},
		{"step 3 malformed beats step 4", 200, `If-None-Match: a|If-Modified-Since: ` + later},
		{"step 4 false", 304, `If-Modified-Since: ` + present},
		{"step 4 false, later", 304, `If-Modified-Since: ` + later},
		{"step 4 in rfc850-date", 304, `If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT`},
		{"step 4 in asctime-date", 304, `If-Modified-Since: Sun Nov  6 08:49:37 1994`},
		{"step 4 true", 200, `If-Modified-Since: ` + past},
		{"step 4 malformed", 200, `If-Modified-Since: ` + present + "; length=5"},
		{"step 4 as a list", 200, `If-Modified-Since: ` + present + ", " + present},
		{"step 4 repeated", 200, `If-Modified-Since: ` + present + `|If-Modified-Since: ` + present},
		{"step 4 in the future", 304, `If-Modified-Since: ` + future},
		{"all true", 200, `If-Match: "a"|If-Unmodified-Since: ` + later + `|If-None-Match: "b"|If-Modified-Since: ` + past},
	}
	for _, tt := range tests {
		t.Run("9110-13.2.2 "+tt.name, func(t *testing.T) {
			r, head := parsed(t, strings.Split("A: b|"+tt.fields+"|C: d", "|")...)
			if tt.fields == "" {
				r, head = parsed(t)
			}
			if got, _ := Precondition(r, head, example); got != tt.status {
				t.Errorf("%s: %d, want %d", tt.fields, got, tt.status)
			}
		})
	}
}

// The result of each precondition: which one decided, and which ones were not evaluated.
func TestConditions(t *testing.T) {
	const yes, no, noDate = OutcomeTrue, OutcomeFalse, OutcomeNoDate
	tests := []struct {
		fields string
		want   Conditions
	}{
		{`X: y`, Conditions{}},
		{`If-Match: "a"|If-Unmodified-Since: ` + past, Conditions{IfMatch: yes}},
		{`If-Match: "b"|If-None-Match: "a"`, Conditions{IfMatch: no}},
		{`If-Unmodified-Since: x|If-Modified-Since: y`, Conditions{IfUnmodifiedSince: noDate, IfModifiedSince: noDate}},
		{`If-Unmodified-Since: ` + past, Conditions{IfUnmodifiedSince: no}},
		{`If-None-Match: "b"|If-Modified-Since: ` + past, Conditions{IfNoneMatch: yes}},
		{`If-Modified-Since: ` + future, Conditions{IfModifiedSince: OutcomeFalse}},
		{`If-Match: *|If-None-Match: "a"|If-Modified-Since: ` + past, Conditions{IfMatch: yes, IfNoneMatch: no}},
		{`If-Match: *|If-Modified-Since: ` + present, Conditions{IfMatch: yes, IfModifiedSince: no}},
	}
	for _, tt := range tests {
		r, head := parsed(t, strings.Split(tt.fields, "|")...)
		if _, got := Precondition(r, head, example); got != tt.want {
			t.Errorf("9110-13.2.2: %s: %+v, want %+v", tt.fields, got, tt.want)
		}
	}
}

// A representation without an entity tag matches only "*".
func TestPreconditionWithoutETag(t *testing.T) {
	fresh := Validators{Modified: exampleTime, Date: exampleTime}
	tests := []struct {
		field  string
		status Status
	}{
		{`If-Match: "a"`, 412}, {`If-Match: *`, 200}, {`If-Match: ""`, 412},
		{`If-None-Match: "a"`, 200}, {`If-None-Match: *`, 304}, {`If-None-Match: ""`, 200},
	}
	for _, tt := range tests {
		r, head := parsed(t, tt.field)
		if got, _ := Precondition(r, head, fresh); got != tt.status {
			t.Errorf("9110-13.1: %s: %d, want %d", tt.field, got, tt.status)
		}
	}
}

func TestRangeApplies(t *testing.T) {
	weakTime := Validators{ETag: []byte(`"a"`), Modified: exampleTime, Date: exampleTime}
	untagged := Validators{Modified: exampleTime, Date: example.Date}
	tests := []struct {
		name, field string
		v           Validators
		want        RangeOutcome
	}{
		{"absent", "X: y", example, RangeTaken},
		{"tag", `If-Range: "a"`, example, RangeTaken},
		{"another tag", `If-Range: "b"`, example, IfRangeOtherTag},
		{"weak tag", `If-Range: W/"a"`, example, IfRangeWeak},
		{"no list", `If-Range: "a", "b"`, example, IfRangeTags},
		{"no star", `If-Range: *`, example, IfRangeMalformed},
		{"tag of a file without one", `If-Range: "a"`, untagged, IfRangeNoTag},
		{"date", `If-Range: ` + present, example, RangeTaken},
		{"date in asctime", `If-Range: Sun Nov  6 08:49:37 1994`, example, RangeTaken},
		{"later date", `If-Range: ` + later, example, IfRangeOtherDate},
		{"earlier date", `If-Range: ` + past, example, IfRangeOtherDate},
		{"weak date", `If-Range: ` + present, weakTime, IfRangeYoung},
		{"malformed", `If-Range: a`, example, IfRangeMalformed},
		{"empty", `If-Range:`, example, IfRangeMalformed},
	}
	for _, tt := range tests {
		t.Run("9110-13.1.5 "+tt.name, func(t *testing.T) {
			r, head := parsed(t, tt.field)
			if got := RangeApplies(r, head, tt.v); got != tt.want {
				t.Errorf("%s: %d, want %d", tt.field, got, tt.want)
			}
		})
	}
}
