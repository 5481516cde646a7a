package conn

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	mimeparts "mime/multipart"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// mixedReplies are the replies to the requests of TestDrainAnywhere.
var mixedReplies = home + full("", "0123456789") + part("12", 1, 10) + fullHead("", 4)

func without(s, cut string) string { return strings.ReplaceAll(s, cut, "") }

// pageLen returns the length of the body of a generated page.
func pageLen(status string) int64 {
	reply := page("", status, "")
	return int64(len(reply) - len(headOf(reply)))
}

func TestRecords(t *testing.T) {
	raw := get("/a?x=y") + request("HEAD", "/") + request("PUT", "/p") + get("/a", "If-None-Match: *") + get("/a", "Range: bytes=1-3") +
		"BREW /pot HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get("/big", "Content-Length: 2") + "ab" + "BAD\r\n\r\n"
	want := []record{
		{"GET", "/a?x=y", 200, 10, second, ""},
		{"HEAD", "/", 200, 0, second, ""},
		{"PUT", "/p", 405, pageLen("405 Method Not Allowed"), second, ""},
		{"GET", "/a", 304, 0, second, ""},
		{"GET", "/a", 206, 3, second, ""},
		{"BREW", "/pot", 501, pageLen("501 Not Implemented"), second, ""},
		{"GET", "/big", 200, int64(len(bigData)), second, ""},
		{"", "", 400, pageLen("400 Bad Request"), second, "the request line has no method, target and version"},
	}
	for _, size := range []int{len(raw), 1, 7} {
		var o observer
		d := newDriver(t, newConfig(), &o)
		d.at(second)
		for p := raw; p != "" && d.receive(p[:min(size, len(p))]); p = p[min(size, len(p)):] {
		}
		if !reflect.DeepEqual(o.records, want) {
			t.Errorf("in pieces of %d:\n%+v\nwant\n%+v", size, o.records, want)
		}
		if got := strings.Join(o.heads, ""); got != strings.TrimSuffix(strings.Replace(raw, "ab", "", 1), "BAD\r\n\r\n") {
			t.Errorf("heads %q", got)
		}
	}
}

// An exchange that ends early is recorded once, with its reason.
func TestRecordsOfWhatEndsEarly(t *testing.T) {
	const late = "the request was not complete in time"
	tests := []struct {
		name string
		end  func(d *driver)
		want []record
	}{
		{"idle", func(d *driver) { d.conn.Abort(errGone) }, nil},
		{"half a head", func(d *driver) { d.receive("GET"); d.conn.Abort(errGone) }, nil},
		{"half a reply", func(d *driver) { startBig(d); d.once(); d.conn.Abort(errGone); d.conn.Abort(errGone) },
			[]record{{"GET", "/big", 200, 40 << 10, 0, "gone"}}},
		{"no bytes taken", func(d *driver) { startBig(d); d.at(time.Hour).conn.Expire(d.now) },
			[]record{{"GET", "/big", 200, 0, 0, "the client took no bytes for too long"}}},
		{"a late head", func(d *driver) { d.receive("GET"); d.at(time.Hour).conn.Expire(d.now); d.pump() },
			[]record{{"", "", 408, pageLen("408 Request Timeout"), 0, late}}},
		{"a late body", func(d *driver) {
			d.receive(get("/a", "Content-Length: 5"))
			d.at(time.Hour).conn.Expire(d.now)
			d.pump()
		}, []record{{"GET", "/a", 408, pageLen("408 Request Timeout"), 0, late}}},
		{"a body too long", func(d *driver) { d.receive(get("/a", "Content-Length: 99999999")) },
			[]record{{"GET", "/a", 413, pageLen("413 Content Too Large"), 0, "the request's body is too long"}}},
		{"a malformed body", func(d *driver) { d.receive(get("/a", "Transfer-Encoding: chunked") + "?") },
			[]record{{"GET", "/a", 400, pageLen("400 Bad Request"), 0, "the chunked body is malformed"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o observer
			d := newDriver(t, newConfig(), &o)
			tt.end(d)
			if !reflect.DeepEqual(o.records, tt.want) {
				t.Errorf("%+v\nwant\n%+v", o.records, tt.want)
			}
			if open := d.conn.reply.cfg.Site.(*fakeSite).open; open != 0 {
				t.Errorf("%d files left open", open)
			}
		})
	}
}

// Several ranges are sent as multipart/byteranges (RFC 9110 §15.3.7.2), with the exact
// Content-Length.
func TestMultipart(t *testing.T) {
	tests := []struct {
		name, path, ranges string
		want               []string // "bytes first-last/size: data"
	}{
		{"two", "/a", "0-1,5-6", []string{"bytes 0-1/10: 01", "bytes 5-6/10: 56"}},
		{"order of the request", "/a", "8-,0-0,3-4", []string{"bytes 8-9/10: 89", "bytes 0-0/10: 0", "bytes 3-4/10: 34"}},
		{"one is beyond the end", "/a", "0-1,-2,90-", []string{"bytes 0-1/10: 01", "bytes 8-9/10: 89"}},
		{"joined", "/a", "0-1,5-6,1-2", []string{"bytes 0-2/10: 012", "bytes 5-6/10: 56"}},
		{"large", "/big", "0-49999,60000-", []string{"bytes 0-49999/102400: " + bigData[:50000], "bytes 60000-102399/102400: " + bigData[60000:]}},
	}
	for _, tt := range tests {
		t.Run("9110-15.3.7.2 "+tt.name, func(t *testing.T) {
			reply, ended := exchangeEverySplit(t, newConfig, get(tt.path, "Range: bytes="+tt.ranges)+get("/"))
			rest := bufio.NewReader(strings.NewReader(reply))
			got := readParts(t, rest)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%.300q\nwant\n%.300q", got, tt.want)
			}
			if next, _ := io.ReadAll(rest); ended || string(next) != home {
				t.Errorf("the next reply: ended %v, %q", ended, next)
			}
		})
	}
}

func readParts(t *testing.T, r *bufio.Reader) (parts []string) {
	t.Helper()
	reply, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" || reply.StatusCode != 206 || reply.Header.Get("Content-Range") != "" {
		t.Fatalf("%v %+v", err, reply)
	}
	m := mimeparts.NewReader(reply.Body, params["boundary"])
	for {
		p, err := m.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(p)
		if kind := p.Header.Get("Content-Type"); kind != "text/plain" {
			t.Errorf("part of type %q", kind)
		}
		parts = append(parts, fmt.Sprintf("%s: %s", p.Header.Get("Content-Range"), data))
	}
	if rest, err := io.ReadAll(reply.Body); err != nil || len(rest) != 0 {
		t.Errorf("%q after the last boundary: %v", rest, err)
	}
	return parts
}

func TestMultipartRecord(t *testing.T) {
	var o observer
	reply, _ := exchange(t, newConfig(), &o, get("/a", "Range: bytes=0-1,5-6"))
	if body := len(reply) - len(headOf(reply)); len(o.records) != 1 || o.records[0].bytes != int64(body) {
		t.Errorf("%+v, body of %d bytes", o.records, body)
	}
}

// The response to too many ranges is the whole file (RFC 9110 §14.2).
func TestManyRanges(t *testing.T) {
	list := func(n int) string {
		specs := make([]string, n)
		for i := range specs {
			specs[i] = fmt.Sprintf("%d-%d", 2*i, 2*i)
		}
		return "Range: bytes=" + strings.Join(specs, ",")
	}
	reply, _ := exchange(t, newConfig(), nil, get("/big", list(proto.MaxRanges)))
	if parts := readParts(t, bufio.NewReader(strings.NewReader(reply))); len(parts) != proto.MaxRanges {
		t.Errorf("%d parts", len(parts))
	}
	if reply, _ := exchange(t, newConfig(), nil, get("/big", list(proto.MaxRanges+1))); reply != full("", bigData) {
		t.Errorf("CVE-2011-3192: %s", clip(reply))
	}
}

// The boundary changes with the time.
func TestBoundary(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		b := boundary(Now{Mono: time.Duration(i), Second: &Second{Unix: unixNow}}, &proto.Entity{Modified: unixNow})
		if len(b) > 70 || seen[b] { // RFC 2046 §5.1.1
			t.Fatalf("boundary %q", b)
		}
		seen[b] = true
	}
}
