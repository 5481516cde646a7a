package conn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"phalanx/internal/proto"
)

var (
	statusLine = regexp.MustCompile(`^HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]+$`)
	fieldLine  = regexp.MustCompile(`^([!#$%&'*+.^_|~0-9A-Za-z-]+): ([\x21-\x7e]+(?: [\x21-\x7e]+)*)$`)
)

// cutReply takes a reply off the front of p, as strictly as a client may be
// (RFC 9112 §4–§6). head says whether its request was HEAD.
func cutReply(p []byte, head bool) (status int, fields map[string]string, rest []byte, err error) {
	top, rest, ok := bytes.Cut(p, []byte("\r\n\r\n"))
	lines := strings.Split(string(top), "\r\n")
	first := statusLine.FindStringSubmatch(lines[0])
	if !ok || first == nil {
		return 0, nil, nil, fmt.Errorf("no reply: %.200q", p)
	}
	status, _ = strconv.Atoi(first[1])
	fields = map[string]string{}
	for _, line := range lines[1:] {
		m := fieldLine.FindStringSubmatch(line)
		if m == nil {
			return 0, nil, nil, fmt.Errorf("field line %q", line)
		}
		name := strings.ToLower(m[1])
		if _, twice := fields[name]; twice {
			return 0, nil, nil, fmt.Errorf("%s occurs twice", name)
		}
		fields[name] = m[2]
	}
	if status < 200 {
		return status, fields, rest, nil
	}
	rest, err = cutContent(rest, status, fields, head)
	return status, fields, rest, err
}

// cutContent takes the content of a reply off the front of p.
func cutContent(p []byte, status int, fields map[string]string, head bool) ([]byte, error) {
	if fields["date"] == "" || fields["server"] == "" {
		return nil, fmt.Errorf("status %d lacks Date or Server", status)
	}
	length, announced := fields["content-length"]
	if status == 204 || status == 304 {
		if announced {
			return nil, fmt.Errorf("status %d with a Content-Length", status)
		}
		return p, nil
	}
	n, err := strconv.Atoi(length)
	if err != nil || fields["content-type"] == "" {
		return nil, fmt.Errorf("status %d without length or type", status)
	}
	if head {
		n = 0
	}
	if n > len(p) {
		return nil, fmt.Errorf("content of %d bytes, announced %d", len(p), n)
	}
	return p[n:], nil
}

// checkReplies fails unless the replies match the records, are well-formed, and only the
// last one closes the connection.
func checkReplies(t *testing.T, reply string, records []record, ended bool) {
	t.Helper()
	rest := []byte(strings.ReplaceAll(reply, interim, ""))
	for i, r := range records {
		last := i == len(records)-1
		head := r.method == "HEAD"
		before := rest
		status, fields, after, err := cutReply(rest, head)
		if r.method == "" && (err != nil || len(after) > 0) { // refused: who knows what it was
			status, fields, after, err = cutReply(before, true)
		}
		if err != nil || status != int(r.status) {
			t.Fatalf("reply %d: status %d, recorded %d: %v\n%.2000q", i, status, r.status, err, reply)
		}
		closing := fields["connection"] == "close"
		if closing != (last && ended) {
			t.Fatalf("reply %d of %d: close %v, ended %v\n%.2000q", i, len(records), closing, ended, reply)
		}
		rest = after
	}
	if len(rest) != 0 {
		t.Fatalf("%q after the last reply", rest)
	}
}

// accepted fails unless net/http's client reads the replies too.
func accepted(t *testing.T, reply string, records []record) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(strings.ReplaceAll(reply, interim, "")))
	for _, rec := range records {
		method := rec.method
		if method == "" {
			return
		}
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%v\n%.2000q", err, reply)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatalf("%v\n%.2000q", err, reply)
		}
	}
}

// Whatever a client sends, the replies are well-formed, not more than the requests, and
// the same however the bytes are split.
func FuzzConn(f *testing.F) {
	for _, table := range [][]sequence{persistence, methods, conditions, undated, bodies, refusals} {
		for _, s := range table {
			f.Add([]byte(s.raw), uint16(len(s.raw)/2), byte(0))
		}
	}
	f.Add([]byte(get("/a", "Range: bytes=0-1,4-5")+get("/big", "Range: bytes=0-50000,70000-")), uint16(9), byte(1))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16, flags byte) {
		if len(raw) == 0 {
			return
		}
		config := func() *Config {
			cfg := newConfig()
			cfg.Single = flags&1 != 0
			return cfg
		}
		var o observer
		reply, ended := exchange(t, config(), &o, string(raw))
		checkReplies(t, reply, o.records, ended)
		accepted(t, reply, o.records)
		if ends := bytes.Count(raw, []byte("\r\n\r\n")); len(o.records) > ends+1 || len(o.heads) > ends {
			t.Fatalf("%d replies to %d heads with %d ends", len(o.records), len(o.heads), ends)
		}
		each := make([]int, len(raw))
		for i := range each {
			each[i] = i + 1
		}
		for _, ends := range [][]int{{int(cut) % len(raw)}, each} {
			var p observer
			other, otherEnded := exchange(t, config(), &p, string(raw), ends...)
			if strings.ReplaceAll(other, interim, "") != strings.ReplaceAll(reply, interim, "") || otherEnded != ended {
				t.Fatalf("in %d pieces: ended %v\n%.2000q\nwhole: ended %v\n%.2000q", len(ends)+1, otherEnded, other, ended, reply)
			}
			if !slices.Equal(p.records, o.records) {
				t.Fatalf("in %d pieces: %+v\nwhole: %+v", len(ends)+1, p.records, o.records)
			}
		}
	})
}

// A body is never taken for the next request, whatever it contains, and what follows the
// body is.
func FuzzBody(f *testing.F) {
	f.Add([]byte("hello"), uint16(2), false)
	f.Add([]byte(get("/smuggled")), uint16(5), true)
	f.Add([]byte("0\r\n\r\n"+get("/smuggled")), uint16(1), false)
	f.Add([]byte("\r\n\r\n"), uint16(1), true)
	f.Fuzz(func(t *testing.T, body []byte, size uint16, chunked bool) {
		if len(body) > 4096 {
			return
		}
		raw := get("/a", fmt.Sprintf("Content-Length: %d", len(body))) + string(body)
		if chunked {
			raw = get("/a", "Transfer-Encoding: chunked") + inChunks(body, int(size))
		}
		raw += get("/next") + request("HEAD", "/a")
		want := full("", "0123456789") + notFound + fullHead("", 10)
		for _, ends := range [][]int{nil, {int(size) % len(raw)}} {
			cfg := newConfig()
			reply, ended := exchange(t, cfg, nil, raw, ends...)
			if reply != want || ended {
				t.Fatalf("%q: ended %v\n%q", raw, ended, reply)
			}
			if opened := cfg.Site.(*fakeSite).opened; !slices.Equal(opened, []string{"/a", "/next", "/a"}) {
				t.Fatalf("%q: opened %q", raw, opened)
			}
		}
	})
}

func inChunks(body []byte, size int) string {
	var b strings.Builder
	for chunk := range slices.Chunk(body, size%100+1) {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	return b.String() + "0\r\n\r\n"
}

// The strict parser of the tests refuses malformed replies.
func TestCutReply(t *testing.T) {
	good := full("", "data")
	for _, bad := range []string{
		"", "HTTP/1.1 200 OK\n\n", strings.Replace(good, "Server", "Server ", 1), strings.Replace(good, "Date: ", "Server: ", 1),
		strings.Replace(good, "Content-Length: 4", "Content-Length: 5", 1), strings.Replace(good, "Content-Length: 4\r\n", "", 1),
		strings.Replace(good, "HTTP/1.1 200", "HTTP/1.1 20", 1), strings.Replace(good, "test", "te\x00st", 1),
	} {
		if _, _, _, err := cutReply([]byte(bad), false); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if status, _, rest, err := cutReply([]byte(good+"x"), false); status != int(proto.StatusOK) || string(rest) != "x" || err != nil {
		t.Errorf("%d %q %v", status, rest, err)
	}
}
