package proto

import (
	"cmp"
	"math"
	"slices"
	"testing"
)

// The outcome does not depend on how a head is split. A complete one ends within the input, and
// all spans lie within the head.
func FuzzParse(f *testing.F) {
	for _, tt := range acceptedHeads {
		f.Add([]byte(tt.raw), uint16(len(tt.raw)/2))
	}
	for _, tt := range refusedHeads {
		f.Add([]byte(tt.raw), uint16(len(tt.raw)/3))
	}
	f.Add([]byte(browser+"\r\n"), uint16(100))
	f.Add([]byte(get("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html;q=0, */*")), uint16(40))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		if len(raw) == 0 {
			return
		}
		whole := parseCut(raw, len(raw))
		if o := parseCut(raw, int(cut)%len(raw), len(raw)); o != whole {
			t.Fatalf("cut at %d: %+v\nwhole: %+v", int(cut)%len(raw), o, whole)
		}
		if o := parseCut(raw, each(len(raw))...); o != whole {
			t.Fatalf("byte by byte: %+v\nwhole: %+v", o, whole)
		}
		switch whole.result {
		case Complete:
			checkComplete(t, raw, whole)
		case Refused:
			if whole.fault.Status < 400 || whole.fault.Status.Reason() == "" || whole.fault.Reason == "" || whole.fault.Rule == "" {
				t.Fatalf("fault %+v", whole.fault)
			}
		}
	})
}

func checkComplete(t *testing.T, raw []byte, o outcome) {
	t.Helper()
	if o.length < len("A / HTTP/1.0\r\n\r\n") || o.length > len(raw) || o.length > MaxHead {
		t.Fatalf("length %d of %d bytes", o.length, len(raw))
	}
	if string(raw[o.length-4:o.length]) != "\r\n\r\n" {
		t.Fatalf("the head ends with %q", raw[o.length-4:o.length])
	}
	head, r := raw[:o.length], &o.req
	for _, s := range append([]Span{r.MethodName, r.Target, r.Path, r.Query}, r.fields[:]...) {
		if int(s.Off)+int(s.Len) > len(head) {
			t.Fatalf("span %+v in a head of %d bytes", s, len(head))
		}
		if slices.ContainsFunc(s.In(head), func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			t.Fatalf("span %q has a control character", s.In(head))
		}
	}
	if r.Chunked && r.Length != 0 || r.Length < 0 || r.Minor > 1 {
		t.Fatalf("request %+v", r)
	}
	if p := r.Path.In(head); len(p) > 0 && p[0] != '/' {
		t.Fatalf("path %q", p)
	}
	for f := range numFields {
		for v := range r.Values(head, f) {
			if len(v) > len(head) {
				t.Fatal("a value longer than its head")
			}
		}
	}
	AcceptCodings(r, head)
	Accepts(r, head, "text", "html")
	Navigates(r, head)
	Precondition(r, head, example)
	RangeApplies(r, head, example)
}

func FuzzDiscard(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "1;a=\"b\"\r\nx\r\n0;c\r\nT: v\r\n\r\nGET", "1\nx\n0\n\n", "ffffffff\r\n", "0\r\na b\r\n\r\n",
	} {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		whole := discardCut(raw, len(raw))
		if len(raw) > 0 {
			if o := discardCut(raw, int(cut)%len(raw), len(raw)); o != whole {
				t.Fatalf("cut at %d: %+v\nwhole: %+v", int(cut)%len(raw), o, whole)
			}
		}
		if o := discardCut(raw, each(len(raw))...); len(raw) > 0 && o != whole {
			t.Fatalf("byte by byte: %+v\nwhole: %+v", o, whole)
		}
		if whole.n > len(raw) || whole.done && whole.fault.Status != 0 {
			t.Fatalf("%+v of %d bytes", whole, len(raw))
		}
		if whole.done && (whole.n < 5 || string(raw[whole.n-2:whole.n]) != "\r\n") {
			t.Fatalf("the body ends with %q", raw[:whole.n])
		}
		if !whole.done && whole.fault.Status == 0 && whole.n != len(raw) {
			t.Fatalf("stopped at %d of %d bytes", whole.n, len(raw))
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-4", "bytes=-5", "bytes=5-", "bytes=0-1,3-4,2-2", "bytes=9-,0-0,-1", "bytes=99999999999999999999-", "bytes=9223372036854775806-"} {
		f.Add([]byte(s), int64(10))
		f.Add([]byte(s), int64(0))
		f.Add([]byte(s), int64(math.MaxInt64))
	}
	f.Fuzz(func(t *testing.T, value []byte, size int64) {
		if size < 0 {
			return
		}
		ranges, outcome := ParseRange(nil, value, size)
		if outcome != RangeTaken {
			return
		}
		if len(ranges) > MaxRanges || size == 0 {
			t.Fatalf("%d ranges", len(ranges))
		}
		sorted := slices.Clone(ranges)
		slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.Off, b.Off) })
		end := int64(-1)
		for _, r := range sorted {
			if r.Off <= end || r.Len <= 0 || r.Off > size || r.Len > size-r.Off {
				t.Fatalf("%q of %d bytes: %v", value, size, ranges)
			}
			end = r.End()
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{present, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC"} {
		f.Add([]byte(s), int64(exampleTime))
	}
	f.Fuzz(func(t *testing.T, value []byte, now int64) {
		if now < 0 || now > 1<<37 {
			return
		}
		unix, ok := ParseDate(value, now)
		if !ok {
			return
		}
		if len(value) < len(asctime) || len(value) > 64 {
			t.Fatalf("%q is taken for a date", value)
		}
		again, ok := ParseDate(AppendDate(nil, unix), now)
		if !ok || again != unix {
			t.Fatalf("%q: %d, written and read again %d %v", value, unix, again, ok)
		}
	})
}

// Preconditions match only as the tags and dates allow.
func FuzzPrecondition(f *testing.F) {
	for _, s := range []string{`"a"`, `W/"a"`, `"b", "a"`, `*`, `"b`, present, ""} {
		f.Add([]byte(s), []byte(s))
	}
	f.Fuzz(func(t *testing.T, match, date []byte) {
		raw := get("If-None-Match: "+string(match), "If-Modified-Since: "+string(date), "If-Range: "+string(match))
		var p Parser
		if p.Parse([]byte(raw)) != Complete || p.Len() != len(raw) {
			return
		}
		switch status, _ := Precondition(p.Request(), []byte(raw), example); status {
		case StatusOK, StatusNotModified:
		default:
			t.Fatalf("%q: neither 200 nor 304", raw)
		}
		weak, strong := listed(match, example.ETag, false), listed(match, example.ETag, true)
		if strong && !weak {
			t.Fatalf("%q matches only by strong comparison", match)
		}
		if tag, _, rest, ok := cutETag(match); ok && (len(tag) < 2 || len(tag)+len(rest) > len(match)) {
			t.Fatalf("%q: tag %q, rest %q", match, tag, rest)
		}
	})
}
