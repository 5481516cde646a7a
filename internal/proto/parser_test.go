package proto

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// outcome is all that a parser has to say of some bytes.
type outcome struct {
	result Result
	fault  Fault
	length int
	req    Request
}

// parseCut parses raw as it grows to each of the lengths.
func parseCut(raw []byte, lengths ...int) outcome {
	var p Parser
	result := NeedMore
	for _, n := range lengths {
		result = p.Parse(raw[:n:n])
	}
	o := outcome{result: result, fault: p.Fault()}
	switch result {
	case Complete:
		o.length, o.req = p.Len(), *p.Request()
	case Refused:
		// What is valid of a request that was refused: how to answer it.
		o.req.Method, o.req.Minor = p.Request().Method, p.Request().Minor
	}
	return o
}

// each returns the ends of pieces of one byte.
func each(n int) []int {
	ends := make([]int, n)
	for i := range ends {
		ends[i] = i + 1
	}
	return ends
}

// parseEverySplit parses raw whole, byte by byte and in two pieces cut at
// every place (of a very long one, at many), and fails if the outcomes differ.
func parseEverySplit(t testing.TB, raw []byte) outcome {
	t.Helper()
	whole := parseCut(raw, len(raw))
	if o := parseCut(raw, each(len(raw))...); o != whole {
		t.Fatalf("byte by byte: %+v\nwhole: %+v", o, whole)
	}
	for i := 1; i < len(raw); i += 1 + len(raw)/400 {
		if o := parseCut(raw, i, len(raw)); o != whole {
			t.Fatalf("cut at %d: %+v\nwhole: %+v", i, o, whole)
		}
	}
	return whole
}

// get is a request head with the fields given.
func get(fields ...string) string {
	return "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, "", ""), "\r\n")
}

var acceptedHeads = []struct {
	name, raw string
	check     func(r *Request) bool
}{
	{"9112-2.1 request", get(), func(r *Request) bool {
		return r.Method == MethodGet && r.Minor == 1 && r.KeepAlive() && !r.HasBody()
	}},
	{"9112-2.2 empty lines before the request line", "\r\n\r\n" + get(), nil},
	{"9112-2.3 HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", func(r *Request) bool { return r.Minor == 0 && !r.KeepAlive() }},
	{"9110-6.2 a higher minor version is 1.1", "GET / HTTP/1.9\r\nHost: a\r\n\r\n", func(r *Request) bool { return r.Minor == 1 }},
	{"9112-3 request line of the longest length", "GET /" + strings.Repeat("a", MaxRequestLine-14) + " HTTP/1.1\r\nHost: a\r\n\r\n", nil},
	{"9112-3.2 empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", func(r *Request) bool { return r.Has(FieldHost) }},
	{"9110-9.1 methods are case-sensitive", "get / HTTP/1.1\r\nHost: a\r\n\r\n", func(r *Request) bool { return r.Method == MethodUnknown }},
	{"9110-9.1 every token is a method", "!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nHost: a\r\n\r\n", func(r *Request) bool { return r.Method == MethodUnknown }},
	{"9110-9.3.7 OPTIONS", "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", func(r *Request) bool { return r.Method == MethodOptions && !r.Asterisk }},
	{"5789-2 PATCH", "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", func(r *Request) bool { return r.Method == MethodPatch }},
	{"9110-5.1 names are not case-sensitive", "GET / HTTP/1.1\r\nhOST: a\r\nRANGE: bytes=0-1\r\n\r\n", func(r *Request) bool { return r.Has(FieldRange) }},
	{"9110-5.5 obs-text in a value", get("X: \xc3\xa4\x80\xff"), nil},
	{"9110-5.5 tab in a value", get("X: a\tb"), nil},
	{"9112-5 no space after the colon", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", nil},
	{"9112-5 empty value", get("X:", "Y: "), nil},
	{"9112-5 white space around a value", get("Content-Length: \t 5 \t "), func(r *Request) bool { return r.Length == 5 && r.HasBody() }},
	{"6585-5 the most fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", MaxFields-1) + "\r\n", nil},
	{"6585-5 the longest head", get("X: " + strings.Repeat("a", MaxHead-len(get("X: ")))), func(r *Request) bool { return r.Has(FieldHost) }},
	{"9112-6.1 chunked", get("Transfer-Encoding: CHUNKED"), func(r *Request) bool { return r.Chunked && r.HasBody() }},
	{"9112-6.2 Content-Length 0", get("Content-Length: 0"), func(r *Request) bool { return !r.HasBody() }},
	{"9110-8.6 the most digits", get("Content-Length: 999999999999999999"), func(r *Request) bool { return r.Length == 999999999999999999 }},
	{"9110-8.6 leading zeros within the limit", get("Content-Length: 000000000000000005"), func(r *Request) bool { return r.Length == 5 }},
	{"9110-7.6.1 close", get("Connection: foo, CLOSE , bar"), func(r *Request) bool { return !r.KeepAlive() }},
	{"9110-7.6.1 close on the second line", get("Connection: foo", "Connection: close"), func(r *Request) bool { return !r.KeepAlive() }},
	{"9112-9.3 close counts more than keep-alive", get("Connection: keep-alive, close"), func(r *Request) bool { return !r.KeepAlive() }},
	{"9112-9.3 keep-alive in 1.0", "GET / HTTP/1.0\r\nConnection: ,Keep-Alive,\r\n\r\n", func(r *Request) bool { return r.KeepAlive() }},
	{"9110-7.6.1 closed is not close", get("Connection: closed, xclose"), func(r *Request) bool { return r.KeepAlive() }},
	{"9110-10.1.1 Expect", get("Expect: 100-Continue", "Content-Length: 1"), func(r *Request) bool { return r.Expect }},
	{"9110-10.1.1 Expect is ignored in 1.0", "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", func(r *Request) bool { return !r.Expect }},
	{"9110-13.1.3 repeated If-Modified-Since is left to be ignored", get("If-Modified-Since: x", "If-Modified-Since: y"), nil},
	{"9110-13.1.4 repeated If-Unmodified-Since is left to be ignored", get("If-Unmodified-Since: x", "If-Unmodified-Since: y"), nil},
}

func TestParseAccepts(t *testing.T) {
	for _, tt := range acceptedHeads {
		t.Run(tt.name, func(t *testing.T) {
			const next = "GET /next HTTP/1.1\r\n"
			o := parseEverySplit(t, []byte(tt.raw+next))
			if o.result != Complete || o.length != len(tt.raw) {
				t.Fatalf("result %v (%v), length %d; want complete and %d", o.result, o.fault, o.length, len(tt.raw))
			}
			if tt.check != nil && !tt.check(&o.req) {
				t.Errorf("request %+v", o.req)
			}
			for i := 1; i < len(tt.raw); i += 1 + len(tt.raw)/400 {
				if o := parseCut([]byte(tt.raw), i); o.result != NeedMore {
					t.Fatalf("result %v after %d of %d bytes", o.result, i, len(tt.raw))
				}
			}
		})
	}
}

// line is a request head with the request line given.
func line(s string) string { return s + "\r\nHost: a\r\n\r\n" }

var refusedHeads = []struct {
	name, raw string
	status    Status
}{
	{"9112-2.2 LF alone after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
	{"9112-2.2 LF alone after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
	{"9112-2.2 LF alone at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
	{"9112-2.2 LF alone before the request line", "\n" + get(), 400},
	{"9112-2.2 bare CR in the request line", line("GET /\r HTTP/1.1"), 400},
	{"9112-2.2 bare CR in a value", get("X: a\rb"), 400},
	{"9112-2.2 bare CR in a name", get("X\r: a"), 400},
	{"9112-2.2 two CR before LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
	{"9112-2.2 two CR in the last line", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", 400},
	{"9112-2.2 white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
	{"9112-2.3 lower-case name", line("GET / http/1.1"), 400},
	{"9112-2.3 no minor version", line("GET / HTTP/1"), 400},
	{"9112-2.3 two digits", line("GET / HTTP/1.10"), 400},
	{"9112-2.3 comma", line("GET / HTTP/1,1"), 400},
	{"9112-2.3 letters", line("GET / HTTP/a.b"), 400},
	{"9110-15.6.6 HTTP/2.0", line("GET / HTTP/2.0"), 505},
	{"9110-15.6.6 HTTP/0.9", line("GET / HTTP/0.9"), 505},
	{"9113-3.4 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"9112-3 no version", line("GET /"), 400},
	{"9112-3 no target", line("GET HTTP/1.1"), 400},
	{"9112-3 nothing between spaces", line("GET  HTTP/1.1"), 400},
	{"9112-3 two spaces", line("GET  / HTTP/1.1"), 400},
	{"9112-3 two spaces before the version", line("GET /  HTTP/1.1"), 400},
	{"9112-3 space at the end", line("GET / HTTP/1.1 "), 400},
	{"9112-3 space at the start", line(" GET / HTTP/1.1"), 400},
	{"9112-3 tabs", line("GET\t/\tHTTP/1.1"), 400},
	{"9112-3 space in the target", line("GET /a b HTTP/1.1"), 400},
	{"9110-9.1 no token", line("GE(T / HTTP/1.1"), 400},
	{"9110-9.1 obs-text in a method", line("G\xc3T / HTTP/1.1"), 400},
	{"5246-6.2.1 TLS", "\x16\x03\x01\x02\x00\x01", 400},
	{"9110-5.5 NUL in the target", line("GET /\x00 HTTP/1.1"), 400},
	{"9110-5.5 DEL in the target", line("GET /\x7f HTTP/1.1"), 400},
	{"9110-5.5 NUL in a value", get("X: a\x00"), 400},
	{"9110-5.5 VT in a value", get("X: a\x0bb"), 400},
	{"9110-5.5 FF in a value", get("X: \x0c"), 400},
	{"9110-5.5 ESC in a value", get("X: \x1b[2J"), 400},
	{"9110-5.5 DEL in a value", get("X: \x7f"), 400},
	{"9110-5.1 NUL in a name", get("X\x00: a"), 400},
	{"9112-5.1 space before the colon", get("Content-Length : 5"), 400},
	{"9112-5.1 tab before the colon", get("Content-Length\t: 5"), 400},
	{"9112-5.1 no colon", get("Content-Length 5"), 400},
	{"9112-5.1 no name", get(": 5"), 400},
	{"9112-5.1 obs-text in a name", get("X\xe9: 5"), 400},
	{"9112-5.2 folded line", get("X: a", " b"), 400},
	{"9112-5.2 folded line with a tab", get("X: a", "\tb"), 400},
	{"9112-5.2 line of white space", get("X: a", " "), 400},
	{"9112-3.2 Host is missing", "GET / HTTP/1.1\r\n\r\n", 400},
	{"9112-3.2 second Host", get("Host: a"), 400},
	{"9112-3.2 second Host in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
	{"9112-3.2 invalid Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{"9112-6.1 Transfer-Encoding and Content-Length", get("Transfer-Encoding: chunked", "Content-Length: 5"), 400},
	{"9112-6.1 Content-Length 0 and Transfer-Encoding", get("Content-Length: 0", "Transfer-Encoding: chunked"), 400},
	{"9112-6.1 Transfer-Encoding in 1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"9112-6.1 chunked twice", get("Transfer-Encoding: chunked, chunked"), 400},
	{"9112-6.1 chunked twice in two lines", get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400},
	{"9112-6.1 chunked not last", get("Transfer-Encoding: chunked, identity"), 400},
	{"9112-6.1 gzip, chunked", get("Transfer-Encoding: gzip, chunked"), 400},
	{"9112-6.1 identity", get("Transfer-Encoding: identity"), 400},
	{"9112-6.1 misspelt", get("Transfer-Encoding: xchunked"), 400},
	{"9112-6.1 quoted", get(`Transfer-Encoding: "chunked"`), 400},
	{"9112-6.1 with a parameter", get("Transfer-Encoding: chunked;a=b"), 400},
	{"9112-6.1 trailing comma", get("Transfer-Encoding: chunked,"), 400},
	{"9112-6.1 empty", get("Transfer-Encoding:"), 400},
	{"9112-6.3 repeated Content-Length", get("Content-Length: 5", "Content-Length: 5"), 400},
	{"9112-6.3 conflicting Content-Length", get("Content-Length: 5", "Content-Length: 6"), 400},
	{"9112-6.3 joined Content-Length", get("Content-Length: 5, 5"), 400},
	{"9110-8.6 sign", get("Content-Length: +5"), 400},
	{"9110-8.6 negative", get("Content-Length: -5"), 400},
	{"9110-8.6 hexadecimal", get("Content-Length: 0x5"), 400},
	{"9110-8.6 space inside", get("Content-Length: 5 5"), 400},
	{"9110-8.6 fraction", get("Content-Length: 5.0"), 400},
	{"9110-8.6 underscore", get("Content-Length: 1_0"), 400},
	{"9110-8.6 empty", get("Content-Length:"), 400},
	{"9110-8.6 zeros beyond the limit", get("Content-Length: 0000000000000000005"), 400},
	{"9110-8.6 overflow", get("Content-Length: 18446744073709551621"), 400},
	{"9110-8.6 full-width digit", get("Content-Length: \xef\xbc\x95"), 400},
	{"9110-10.1.1 unknown expectation", get("Expect: 200-ok"), 417},
	{"9110-10.1.1 expectation with more", get("Expect: 100-continue, x"), 417},
	{"9110-5.3 repeated Range", get("Range: bytes=0-1", "Range: bytes=0-1"), 400},
	{"9110-5.3 repeated If-Range", get(`If-Range: "a"`, `If-Range: "a"`), 400},
	{"9110-5.3 repeated Expect", get("Expect: 100-continue", "Expect: 100-continue"), 400},
	{"9112-3 request line too long", "GET /" + strings.Repeat("a", MaxRequestLine-13) + " HTTP/1.1\r\n", 414},
	{"9112-3 endless request line", strings.Repeat("a", MaxRequestLine+2), 414},
	{"6585-5 too many fields", "GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", MaxFields+1), 431},
	{"6585-5 head too long", get("X: " + strings.Repeat("a", MaxHead-len(get("X: "))+1)), 431},
	{"6585-5 endless field", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", MaxHead), 431},
	{"9112-2.2 endless empty lines", strings.Repeat("\r\n", MaxHead/2), 414},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range refusedHeads {
		t.Run(tt.name, func(t *testing.T) {
			o := parseEverySplit(t, []byte(tt.raw))
			if o.result != Refused || o.fault.Status != tt.status || o.fault.Reason == "" || !strings.HasPrefix(o.fault.Rule, "RFC ") {
				t.Errorf("result %v, fault %+v; want refused with %d and a reason", o.result, o.fault, tt.status)
			}
		})
	}
}

// Whoever sent HEAD is answered without a body, also when the rest of the
// head is wrong (RFC 9110 §9.3.2).
func TestRefusedMethodIsKnown(t *testing.T) {
	for _, raw := range []string{
		"HEAD / HTTP/3.0\r\n\r\n",
		"HEAD / http\r\n\r\n",
		"HEAD /\x01 HTTP/1.1\r\n\r\n",
		"HEAD * HTTP/1.1\r\n\r\n",
		"HEAD / HTTP/1.1\n\n",
		"\r\nHEAD /" + strings.Repeat("a", MaxRequestLine),
		"HEAD / HTTP/1.1\r\n\r\n",
	} {
		if o := parseEverySplit(t, []byte(raw)); o.result != Refused || o.req.Method != MethodHead {
			t.Errorf("%.50q: %+v", raw, o)
		}
	}
}

// Control characters and the like are refused wherever they stand.
func TestParseRefusesControls(t *testing.T) {
	const head = "GET /a HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n"
	for _, c := range []byte{0, 1, 8, 0x0b, 0x0c, 0x1f, 0x7f} {
		for i := 0; i <= strings.Index(head, "\r\n\r\n"); i++ {
			raw := head[:i] + string(rune(c)) + head[i:]
			if o := parseCut([]byte(raw), len(raw)); o.result != Refused || o.fault.Status != StatusBadRequest {
				t.Errorf("%q: %v %v", raw, o.result, o.fault)
			}
		}
	}
}

// The value of a field that stands in several lines comes from all of them.
func TestValues(t *testing.T) {
	raw := []byte(get("If-None-Match: \"a\"", "X: y", "if-none-match:  \"b\" ", "Accept: */*", "IF-NONE-MATCH:"))
	o := parseEverySplit(t, raw)
	if o.result != Complete {
		t.Fatal(o.fault)
	}
	var got []string
	for v := range o.req.Values(raw, FieldIfNoneMatch) {
		got = append(got, string(v))
	}
	if want := []string{`"a"`, `"b"`, ""}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("values %q, want %q", got, want)
	}
	for v := range o.req.Values(raw, FieldIfNoneMatch) {
		if !bytes.Equal(v, []byte(`"a"`)) {
			t.Errorf("first value %q", v)
		}
		break
	}
	if v := o.req.Value(raw, FieldRange); v != nil {
		t.Errorf("absent field has value %q", v)
	}
	for range o.req.Values(raw, FieldRange) {
		t.Error("absent field has values")
	}
}

func TestParserReset(t *testing.T) {
	var p Parser
	p.Parse([]byte("POST / HTTP/1.0\nX"))
	p.Reset()
	if p != (Parser{}) {
		t.Errorf("after Reset: %+v", p)
	}
}
