package conn

import (
	"math"
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// request returns an HTTP/1.1 request with the fields.
func request(method, target string, fields ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, "", ""), "\r\n")
}

func get(target string, fields ...string) string { return request("GET", target, fields...) }

var (
	home     = full("", "home")
	notFound = page("", "404 Not Found", "")
	allow    = "Allow: GET, HEAD, OPTIONS\r\n"
	options  = "HTTP/1.1 204 No Content\r\n" + common + allow + "\r\n"
	notMod   = "HTTP/1.1 304 Not Modified\r\n" + common + fresh + validFields(10) + "\r\n"
)

// sequence has the bytes of some requests and the replies to them.
type sequence struct {
	name  string
	raw   string
	want  string
	ended bool
}

var persistence = []sequence{
	{"9112-9.3 persistent", get("/"), home, false},
	{"9112-9.3.2 pipelined", get("/") + get("/a") + get("/nope") + get("/empty"), home + full("", "0123456789") + notFound + full("", ""), false},
	{"9112-2.2 empty line between requests", get("/") + "\r\n" + get("/"), home + home, false},
	{"9112-9.6 close", get("/", "Connection: close"), full(closes, "home"), true},
	{"9112-9.6 nothing after close", get("/") + get("/a", "Connection: close") + get("/"), home + full(closes, "0123456789"), true},
	{"9112-9.6 close with an error", get("/nope", "Connection: close"), page(closes, "404 Not Found", ""), true},
	{"9112-9.3 HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", full(closes, "home"), true},
	{"9112-9.3 HTTP/1.0 with keep-alive", strings.Repeat("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 2), full(keeps, "home") + full(keeps, "home"), false},
	{"9112-9.3 keep-alive in 1.1", get("/", "Connection: keep-alive"), home, false},
	{"a large file", get("/big") + get("/"), full("", bigData) + home, false},
	{"8 replies beyond the flush mark", strings.Repeat(get("/nope"), 200), strings.Repeat(notFound, 200), false},
	{"9112-3.2.2 absolute-form", get("http://example.com/a") + get("http://example.com"), full("", "0123456789") + home, false},
	{"9110-15.5.1 from the site", get("/bad%"), page("", "400 Bad Request", ""), false},
	{"9110-15.5.4 403", get("/shut"), page("", "403 Forbidden", ""), false},
	{"9110-15.6.1 500", get("/broken"), page("", "500 Internal Server Error", ""), false},
	{"9110-15.6.4 503", get("/busy"), page("", "503 Service Unavailable", "Retry-After: 1\r\n"), false},
	{"9110-15.4.2 301", get("/dir"), page("", "301 Moved Permanently", "Location: /dir/\r\n"), false},
	{"9110-15.4.2 301 keeps the query", get("/dir?a=b&c"), page("", "301 Moved Permanently", "Location: /dir/?a=b&c\r\n"), false},
	{"9110-17.11 301 leads to no other host", get("//dir"), page("", "301 Moved Permanently", "Location: /dir/\r\n"), false},
	{"9110-17.11 301 nor by a backslash", get(`/\dir?\`), page("", "301 Moved Permanently", "Location: /%5Cdir/?%5C\r\n"), false},
	{"9110-10.2.2 301 is a URI", get("/d\xc3\xa4%20?\""), page("", "301 Moved Permanently", "Location: /d%C3%A4%20/?%22\r\n"), false},
}

var methods = []sequence{
	{"9110-9.3.2 HEAD", request("HEAD", "/") + get("/"), fullHead("", 4) + home, false},
	{"9110-9.3.2 HEAD of an error", request("HEAD", "/nope") + get("/"), headOf(notFound) + home, false},
	{"9110-9.3.2 HEAD of a redirection", request("HEAD", "/dir"), headOf(page("", "301 Moved Permanently", "Location: /dir/\r\n")), false},
	{"9110-9.3.2 HEAD of a large file", request("HEAD", "/big") + get("/"), fullHead("", len(bigData)) + home, false},
	{"9110-9.3.2 HEAD refused", "HEAD / HTTP/3.0\r\n\r\n", headOf(page(closes, "505 HTTP Version Not Supported", "")), true},
	{"9110-9.3.7 OPTIONS", request("OPTIONS", "/") + get("/"), options + home, false},
	{"9110-9.3.7 OPTIONS *", request("OPTIONS", "*"), options, false},
	{"9110-9.3.7 OPTIONS with a body", request("OPTIONS", "*", "Content-Length: 3") + "abc" + get("/"), options + home, false},
	{"9110-15.5.6 POST", request("POST", "/") + get("/"), page("", "405 Method Not Allowed", allow) + home, false},
	{"9110-15.5.6 POST with a body", request("POST", "/", "Content-Length: 28") + get("/a"), page(closes, "405 Method Not Allowed", allow), true},
	{"9110-15.5.6 PUT with a chunked body", request("PUT", "/", "Transfer-Encoding: chunked") + "0\r\n\r\n" + get("/a"), page(closes, "405 Method Not Allowed", allow), true},
	{"9110-9.3.6 CONNECT", request("CONNECT", "a:443"), page("", "405 Method Not Allowed", allow), false},
	{"9110-9.3.8 TRACE", request("TRACE", "/"), page("", "405 Method Not Allowed", allow), false},
	{"9110-9.3.5 DELETE", request("DELETE", "/"), page("", "405 Method Not Allowed", allow), false},
	{"5789-2 PATCH", request("PATCH", "/"), page("", "405 Method Not Allowed", allow), false},
	{"9110-15.6.2 unknown", request("BREW", "/pot") + get("/"), page("", "501 Not Implemented", "") + home, false},
	{"9110-15.6.2 lower case", request("get", "/"), page("", "501 Not Implemented", ""), false},
	{"9110-15.6.2 unknown with a body", request("BREW", "/", "Content-Length: 9") + "GET / HTT", page(closes, "501 Not Implemented", ""), true},
}

var conditions = []sequence{
	{"9110-13.1.2 304", get("/a", "If-None-Match: "+tag(10)) + get("/"), notMod + home, false},
	{"9110-13.1.2 304 to HEAD", request("HEAD", "/a", "If-None-Match: *"), notMod, false},
	{"9110-13.1.2 another tag", get("/a", `If-None-Match: "x"`), full("", "0123456789"), false},
	{"9110-13.1.3 304", get("/a", "If-Modified-Since: "+dateFile), notMod, false},
	{"9110-13.1.3 304 for a date in the future", get("/a", "If-Modified-Since: Fri, 11 Nov 2044 08:49:37 GMT"), notMod, false},
	{"9110-13.1.1 412", get("/a", `If-Match: "x"`) + get("/"), page("", "412 Precondition Failed", "") + home, false},
	{"9110-13.1.4 412 to HEAD", request("HEAD", "/a", "If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT"), headOf(page("", "412 Precondition Failed", "")), false},
	{"9110-13.2.1 not of what is not there", get("/nope", `If-Match: *`), notFound, false},
	{"9110-13.2.2 before the range", get("/a", "Range: bytes=0-1", "If-None-Match: "+tag(10)), notMod, false},
	{"9110-14.2 206", get("/a", "Range: bytes=2-4") + get("/"), part("234", 2, 10) + home, false},
	{"9110-14.2 open", get("/a", "Range: bytes=7-"), part("789", 7, 10), false},
	{"9110-14.2 suffix", get("/a", "Range: bytes=-2"), part("89", 8, 10), false},
	{"9110-14.2 all of it", get("/a", "Range: bytes=0-"), part("0123456789", 0, 10), false},
	{"9110-14.2 joined", get("/a", "Range: bytes=0-3,2-5"), part("012345", 0, 10), false},
	{"9110-14.2 of a large file", get("/big", "Range: bytes=1000-99999") + get("/"), part(bigData[1000:100000], 1000, len(bigData)) + home, false},
	{"9110-14.2 unknown unit", get("/a", "Range: lines=1-2"), full("", "0123456789"), false},
	{"9110-14.2 malformed", get("/a", "Range: bytes=5-4"), full("", "0123456789"), false},
	{"9110-14.2 with HEAD", request("HEAD", "/a", "Range: bytes=0-1"), fullHead("", 10), false},
	{"9110-15.5.17 416", get("/a", "Range: bytes=10-") + get("/"), page("", "416 Range Not Satisfiable", "Content-Range: bytes */10\r\n") + home, false},
	{"9110-14.2 of an empty file", get("/empty", "Range: bytes=0-1048575") + get("/"), full("", "") + home, false},
	{"9110-14.2 the last byte of an empty file", get("/empty", "Range: bytes=-1", "If-Range: "+tag(0)), full("", ""), false},
	{"9110-13.1.5 If-Range", get("/a", "Range: bytes=0-1", "If-Range: "+tag(10)), part("01", 0, 10), false},
	{"9110-13.1.5 If-Range by date", get("/a", "Range: bytes=0-1", "If-Range: "+dateFile), part("01", 0, 10), false},
	{"9110-13.1.5 If-Range of another", get("/a", "Range: bytes=0-1", `If-Range: "x"`), full("", "0123456789"), false},
	{"9110-13.1.5 If-Range beats 416", get("/a", "Range: bytes=10-", `If-Range: "x"`), full("", "0123456789"), false},
}

var bodies = []sequence{
	{"9112-6.2 Content-Length", get("/", "Content-Length: 5") + "hello" + get("/a"), home + full("", "0123456789"), false},
	{"9112-6.2 a body like a request", get("/", "Content-Length: 36") + get("/a") + "12345678" + get("/a"), home + full("", "0123456789"), false},
	{"9112-6.2 Content-Length 0", get("/", "Content-Length: 0") + get("/"), home + home, false},
	{"9112-7.1 chunked", get("/", "Transfer-Encoding: chunked") + "5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n" + get("/"), home + home, false},
	{"9112-7.1 chunks like a request", get("/", "Transfer-Encoding: chunked") + "24\r\n" + get("/a") + "12345678\r\n0\r\n\r\n" + get("/a"), home + full("", "0123456789"), false},
	{"9112-7.1 malformed", get("/", "Transfer-Encoding: chunked") + "x\r\n" + get("/a"), page(closes, "400 Bad Request", ""), true},
	{"9112-7.1 LF alone", get("/", "Transfer-Encoding: chunked") + "0\n\n" + get("/a"), page(closes, "400 Bad Request", ""), true},
	{"9110-15.5.14 too long", get("/", "Content-Length: 1048577") + get("/a"), page(closes, "413 Content Too Large", ""), true},
	{"9110-15.5.14 chunk too long", get("/", "Transfer-Encoding: chunked") + "fffffff\r\n" + get("/a"), page(closes, "413 Content Too Large", ""), true},
	{"9110-9.3.2 HEAD with a body", request("HEAD", "/", "Content-Length: 4") + "abcd" + get("/"), fullHead("", 4) + home, false},
	{"9112-9.6 close with a body", get("/", "Content-Length: 4", "Connection: close") + "abcd" + get("/"), full(closes, "home"), true},
	{"9110-10.1.1 Expect", get("/", "Content-Length: 4", "Expect: 100-continue") + "abcd" + get("/"), home + home, false},
	{"9110-10.1.1 Expect without a body", get("/", "Expect: 100-continue") + get("/"), home + home, false},
	{"9110-10.1.1 Expect refused at once", request("POST", "/", "Content-Length: 4", "Expect: 100-continue"), page(closes, "405 Method Not Allowed", allow), true},
	{"9110-15.5.18 unknown expectation", get("/", "Expect: tea"), page(closes, "417 Expectation Failed", ""), true},
}

var refusals = []sequence{
	{"9112-2.2 no HTTP", "\x16\x03\x01\x02\x00", page(closes, "400 Bad Request", ""), true},
	{"9112-5.1 space before the colon", get("/", "A : b") + get("/a"), page(closes, "400 Bad Request", ""), true},
	{"9112-6.1 two lengths", get("/", "Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + get("/a"), page(closes, "400 Bad Request", ""), true},
	{"9112-3.2 no Host", "GET / HTTP/1.1\r\n\r\n" + get("/a"), page(closes, "400 Bad Request", ""), true},
	{"9112-3.2 no IPv6 address in brackets", "GET / HTTP/1.1\r\nHost: [4712::abcd::]\r\n\r\n" + get("/a"), page(closes, "400 Bad Request", ""), true},
	{"9110-15.6.6 version", "GET / HTTP/2.0\r\n\r\n", page(closes, "505 HTTP Version Not Supported", ""), true},
	{"9110-15.5.15 long target", "GET /" + strings.Repeat("a", proto.MaxRequestLine), page(closes, "414 URI Too Long", ""), true},
	{"6585-5 long head", get("/", "A: "+strings.Repeat("a", proto.MaxHead)), page(closes, "431 Request Header Fields Too Large", ""), true},
	{"after good requests", get("/") + get("/nope") + "\r\n\r\nBAD\r\n\r\n" + get("/a"), home + notFound + page(closes, "400 Bad Request", ""), true},
}

// headOf returns a reply without its body.
func headOf(reply string) string {
	head, _, _ := strings.Cut(reply, "\r\n\r\n")
	return head + "\r\n\r\n"
}

func TestSequences(t *testing.T) {
	for _, table := range [][]sequence{persistence, methods, conditions, undated, bodies, refusals} {
		for _, tt := range table {
			t.Run(tt.name, func(t *testing.T) {
				reply, ended := exchangeEverySplit(t, newConfig, tt.raw)
				if reply != tt.want || ended != tt.ended {
					t.Errorf("ended %v\n%s\nwant: ended %v\n%s", ended, clip(reply), tt.ended, clip(tt.want))
				}
			})
		}
	}
}

// The fallback is for navigation alone (Fetch Metadata, §2).
func TestFallbackIsForNavigation(t *testing.T) {
	const browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, tt := range []struct {
		name, raw string
		want      string
	}{
		{"a browser goes there", get("/route", browser, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), full("", "0123456789")},
		{"an older one does", get("/route", browser), full("", "0123456789")},
		{"HEAD", request("HEAD", "/route"), fullHead("", 10)},
		{"a script asks for data", get("/route", "Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"), notFound},
		{"an image", get("/route", "Accept: image/webp,*/*"), notFound},
		{"forbidden stays so", get("/shut", browser), page("", "403 Forbidden", "")},
	} {
		fallback := func() *Config {
			cfg := newConfig()
			cfg.Fallback = true
			return cfg
		}
		if reply, _ := exchangeEverySplit(t, fallback, tt.raw); reply != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, clip(reply), clip(tt.want))
		}
	}
	if reply, _ := exchange(t, newConfig(), nil, get("/route", browser)); reply != notFound {
		t.Errorf("without a fallback:\n%s", clip(reply))
	}
}

func clip(s string) string { return s[:min(len(s), 1000)] }

// The serial model closes after the first reply (requirement of the model).
func TestSingle(t *testing.T) {
	single := func() *Config {
		cfg := newConfig()
		cfg.Single = true
		return cfg
	}
	for _, tt := range []sequence{
		{"9112-9.6 one reply", get("/") + get("/a"), full(closes, "home"), true},
		{"9112-9.6 an error", get("/nope"), page(closes, "404 Not Found", ""), true},
		{"9112-9.6 HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", full(closes, "home"), true},
		{"9112-9.6 HEAD", request("HEAD", "/big"), fullHead(closes, len(bigData)), true},
		{"9112-9.6 range", get("/a", "Range: bytes=0-1"), strings.Replace(part("01", 0, 10), fresh, closes+fresh, 1), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if reply, ended := exchangeEverySplit(t, single, tt.raw); reply != tt.want || !ended {
				t.Errorf("ended %v\n%s\nwant\n%s", ended, reply, tt.want)
			}
		})
	}
}

// Validators that cannot be trusted are not sent (RFC 9110 §8.8.2.1).
func TestValidators(t *testing.T) {
	tests := []struct{ name, path, modified, tag string }{
		{"9110-8.8.3 old", "/a", dateFile, "ETag: " + tag(10)},
		{"9110-8.8.1 changed within this second", "/young", dateNow, ""},
		{"9110-8.8.2.1 later than the clock", "/future", dateNow, ""},
		{"9110-8.8.3.3 a coding has its own", "/a.gz", dateFile, "ETag: " + strings.TrimSuffix(tag(4), `"`) + `-gzip"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply, _ := exchange(t, newConfig(), nil, get(tt.path))
			if !strings.Contains(reply, "\r\nLast-Modified: "+tt.modified+"\r\n") {
				t.Errorf("Last-Modified in\n%s", reply)
			}
			if strings.Contains(reply, "\r\nETag: ") != (tt.tag != "") || !strings.Contains(reply, tt.tag) {
				t.Errorf("%q in\n%s", tt.tag, reply)
			}
			if strings.Contains(reply, "\r\nContent-Encoding: gzip\r\n") != (tt.path == "/a.gz") {
				t.Errorf("Content-Encoding in\n%s", reply)
			}
		})
	}
}

// The interim reply is sent once, to a client that waits for it (RFC 9110 §10.1.1).
func TestContinue(t *testing.T) {
	head := get("/", "Content-Length: 4", "Expect: 100-continue")
	tests := []struct {
		name, raw string
		ends      []int
		want      string
	}{
		{"9110-10.1.1 waiting", head + "abcd", []int{len(head)}, interim + home},
		{"9110-10.1.1 sent already", head + "abcd", nil, home},
		{"9110-10.1.1 sent in part", head + "abcd", []int{len(head) + 1}, home},
		{"9110-10.1.1 chunked", get("/", "Transfer-Encoding: chunked", "Expect: 100-continue") + "0\r\n\r\n", []int{len(get("/", "Transfer-Encoding: chunked", "Expect: 100-continue"))}, interim + home},
		{"9110-10.1.1 HTTP/1.0", "GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", []int{59}, full(closes, "home")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if reply, _ := exchange(t, newConfig(), nil, tt.raw, tt.ends...); reply != tt.want {
				t.Errorf("%s\nwant\n%s", reply, tt.want)
			}
		})
	}
}

// built returns the reply with a file that has no usable time.
func built() string {
	return strings.Replace(full("", "one"), validFields(3), "", 1)
}

var undated = []sequence{
	{"9110-8.8.1 no validator", get("/built"), built(), false},
	{"9110-13.1.2 the tag of another version", get("/built", "If-None-Match: \"3b9aca00-3\""), built(), false},
	{"9110-13.1.2 any", get("/built", "If-None-Match: *"), strings.Replace(notMod, validFields(10), "", 1), false},
	{"9110-13.1.1 no tag to match", get("/built", "If-Match: \"3b9aca00-3\""), strings.Replace(page("", "412 Precondition Failed", ""), "Last-Modified: "+dateFile+"\r\n", "", 1), false},
	{"9110-13.1.3 ignored", get("/built", "If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT"), built(), false},
	{"9110-13.1.3 ignored, now", get("/built", "If-Modified-Since: "+dateNow), built(), false},
	{"9110-13.1.4 ignored", get("/built", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"), built(), false},
	{"9110-13.1.5 no date to match", get("/built", "Range: bytes=0-0", "If-Range: Thu, 01 Jan 1970 00:00:01 GMT"), built(), false},
	{"9110-13.1.5 no tag to match", get("/built", "Range: bytes=0-0", "If-Range: \"3b9aca00-3\""), built(), false},
	{"9110-14.2 a range alone", get("/built", "Range: bytes=1-1"), strings.Replace(part("n", 1, 3), validFields(3), "", 1), false},
}

// hugeFile is as large as a file can be.
type hugeFile struct{ *fakeFile }

func (hugeFile) Size() int64 { return math.MaxInt64 }

// hugeSite has no other file.
type hugeSite struct{ *fakeSite }

func (s hugeSite) Open([]byte, proto.Codings, *proto.Access) (File, proto.Status) {
	return hugeFile{s.files["/a"]}, proto.StatusOK
}

// Lengths and positions are right up to the largest file.
func TestLargestFile(t *testing.T) {
	for _, tt := range []struct{ name, ranges, status, field string }{
		{"9110-8.6", "", "200 OK", "Content-Length: 9223372036854775807"},
		{"9110-14.4", "bytes=9223372036854775806-", "206 Partial Content", "Content-Range: bytes 9223372036854775806-9223372036854775806/9223372036854775807"},
		{"9110-14.4 suffix", "bytes=-9223372036854775806", "206 Partial Content", "Content-Length: 9223372036854775806"},
		{"9110-15.5.17", "bytes=9223372036854775807-", "416 Range Not Satisfiable", "Content-Range: bytes */9223372036854775807"},
		{"9110-14.6 whose length is no number", "bytes=0-0,2-", "200 OK", "Content-Length: 9223372036854775807"},
	} {
		cfg := newConfig()
		cfg.Site = hugeSite{newFakeSite()}
		c := New(cfg, nil, Now{Second: cfg.NewSecond(unixNow)})
		raw := get("/")
		if tt.ranges != "" {
			raw = get("/", "Range: "+tt.ranges)
		}
		c.Receive([]byte(raw), Now{Second: cfg.NewSecond(unixNow)})
		out, _ := c.Next(nil, Now{Second: cfg.NewSecond(unixNow)})
		if reply := string(out); !strings.HasPrefix(reply, "HTTP/1.1 "+tt.status+"\r\n") || !strings.Contains(reply, "\r\n"+tt.field+"\r\n") {
			t.Errorf("%s:\n%s\nwant %s and %s", tt.name, reply, tt.status, tt.field)
		}
		c.Abort(errGone)
	}
}

// The earliest and latest times that a file system can store are formatted correctly or
// left out. A time in the future is replaced by that of the reply (RFC 9110 §8.8.2.1).
func TestTimesAtTheEdge(t *testing.T) {
	for _, sec := range []int64{unixNow + 1, 9223372036, 9223372037, 10413792000, 1 << 40, math.MaxInt64} {
		cfg := newConfig()
		cfg.Site.(*fakeSite).files["/a"].modified = proto.Time{Sec: sec, Nsec: 999999999}
		reply, _ := exchange(t, cfg, nil, get("/a", "If-Modified-Since: "+dateFile, `If-Match: *`))
		if !strings.HasPrefix(reply, "HTTP/1.1 200 ") || !strings.Contains(reply, "\r\nLast-Modified: "+dateNow+"\r\n") || strings.Contains(reply, "ETag") {
			t.Errorf("%d s:\n%s", sec, clip(reply))
		}
	}
}
