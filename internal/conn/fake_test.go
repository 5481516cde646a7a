package conn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
	"phalanx/internal/rules"
	"phalanx/internal/theme"
)

// unixNow is the time of the tests, the example of RFC 9110 §5.6.7.
const (
	unixNow  = 784111777
	dateNow  = "Sun, 06 Nov 1994 08:49:37 GMT"
	dateFile = "Sun, 06 Nov 1994 08:32:57 GMT" // 1,000 seconds before
)

// fakeFile is a file in memory that counts how often it is open.
type fakeFile struct {
	entity   proto.Entity
	data     string
	modified proto.Time
	coding   proto.Coding
	site     *fakeSite
	sum      []byte // its digest; nil: it is not known
	tagged   bool   // its tag is made of that
}

func (f *fakeFile) Size() int64            { return int64(len(f.data)) }
func (f *fakeFile) Modified() proto.Time   { return f.modified }
func (f *fakeFile) Settled() bool          { return f != f.site.files["/young"] }
func (f *fakeFile) ContentType() string    { return "text/plain" }
func (f *fakeFile) Coding() proto.Coding   { return f.coding }
func (f *fakeFile) Copied() bool           { return false }
func (f *fakeFile) Vary() string           { return "" }
func (f *fakeFile) Entity() *proto.Entity  { return &f.entity }
func (f *fakeFile) Digest() ([]byte, bool) { return f.sum, f.tagged }
func (f *fakeFile) CacheControl() string   { return "" }
func (f *fakeFile) Body() []byte           { return []byte(f.data) }
func (f *fakeFile) Fd() int                { return -1 }
func (f *fakeFile) Close()                 { f.site.open-- }

// fakeSite has files, and statuses for other paths.
type fakeSite struct {
	files  map[string]*fakeFile
	status map[string]proto.Status
	open   int      // files that are not closed
	opened []string // the paths that were asked for
	silent bool     // opened is not kept
	rules  *rules.Set
	page   string                  // of errors, by its path; empty: there is none
	locked map[string]proto.Realms // what paths need
}

func (s *fakeSite) Rules() *rules.Set { return s.rules }

func (s *fakeSite) Open(path []byte, _ proto.Codings, access *proto.Access) (File, proto.Status) {
	if !s.silent {
		s.opened = append(s.opened, string(path))
	}
	if realms := s.locked[string(path)]; realms != 0 {
		if access.Used |= realms; access.Missing() != 0 {
			return nil, proto.StatusUnauthorized
		}
	}
	if f := s.files[string(path)]; f != nil {
		s.open++
		return f, proto.StatusOK
	}
	if status := s.status[string(path)]; status != 0 {
		return nil, status
	}
	return nil, proto.StatusNotFound
}

func (s *fakeSite) List(_, _ []byte, _ bool, _ *proto.Access) (Stream, proto.Status) {
	return nil, proto.StatusForbidden
}
func (s *fakeSite) Archive(_ []byte, _ string, _ *proto.Access) (Stream, proto.Status) {
	return nil, proto.StatusServiceUnavailable
}
func (s *fakeSite) Fallback(path []byte, c proto.Codings, a *proto.Access) (File, proto.Status) {
	return s.Open([]byte("/a"), c, a)
}
func (s *fakeSite) Page(proto.Status, *proto.Access) (File, bool) {
	if s.page == "" {
		return nil, false
	}
	s.open++
	return s.files[s.page], true
}

var bigData = strings.Repeat("0123456789abcdef", 6400) // 100 KiB

func newFakeSite() *fakeSite {
	s := &fakeSite{status: map[string]proto.Status{
		"/dir": 301, "//dir": 301, `/\dir`: 301, "/d\xc3\xa4%20": 301, "/shut": 403, "/busy": 503, "/broken": 500, "/bad%": 400,
	}}
	old := proto.Time{Sec: unixNow - 1000}
	s.files = map[string]*fakeFile{
		"": {data: "home"}, "/": {data: "home"}, "/a": {data: "0123456789"}, "/empty": {}, "/big": {data: bigData},
		"/young": {data: "young"}, "/future": {data: "future"}, "/a.gz": {data: "gzip", coding: proto.Gzip}, "/built": {data: "one"},
	}
	for _, f := range s.files {
		f.site, f.modified = s, old
	}
	s.files["/young"].modified = proto.Time{Sec: unixNow, Nsec: 5}
	s.files["/built"].modified = proto.Time{Sec: 1}
	s.files["/future"].modified = proto.Time{Sec: unixNow + 1000}
	return s
}

func newConfig() *Config {
	return &Config{Site: newFakeSite(), Server: "test", KeepAlive: 30 * time.Second, Expires: 12 * time.Hour}
}

// driver drives a connection as an engine does, without a socket.
type driver struct {
	t     testing.TB
	conn  Conn
	now   Now
	out   []byte
	reply []byte // all that was sent
	step  Step   // the last one
	piece int64  // bytes of a segment that are sent at once
	in    []byte // the receive buffer
}

func newDriver(t testing.TB, cfg *Config, obs Observer) *driver {
	d := &driver{t: t, piece: 40 << 10, out: make([]byte, 0, 128<<10)}
	d.now.Second = cfg.NewSecond(unixNow)
	d.conn = New(cfg, obs, d.now)
	return d
}

// receive passes bytes to the connection and runs it. It returns false when the
// connection has ended.
func (d *driver) receive(p string) bool {
	d.in = append(d.in[:0], p...)
	d.conn.Receive(d.in, d.now)
	return d.pump()
}

// pump takes steps until the connection wants to read.
func (d *driver) pump() bool {
	for d.once() {
		if d.step == Read {
			return true
		}
	}
	return false
}

// once takes one step. It returns false when the connection has ended.
func (d *driver) once() bool {
	var out []byte
	out, d.step = d.conn.Next(d.out[:0], d.now)
	d.reply = append(d.reply, out...)
	switch d.step {
	case Send:
		d.hold()
		s := d.conn.Segment()
		n := min(s.Len, d.piece)
		d.reply = append(d.reply, s.File.(*fakeFile).data[s.Off:s.Off+n]...)
		d.conn.Sent(n, d.now)
	case Read:
		d.hold()
	case Flush, Await:
	default:
		return false
	}
	return true
}

// hold takes the receive buffer back and overwrites it.
func (d *driver) hold() {
	d.conn.Hold()
	for i := range d.in {
		d.in[i] = 0xee
	}
}

// at sets the clock.
func (d *driver) at(mono time.Duration) *driver {
	d.now.Mono = mono
	return d
}

// exchange runs a whole connection. It sends the request bytes in pieces that end at the
// offsets, and returns the replies and whether the connection has ended.
func exchange(t testing.TB, cfg *Config, obs Observer, raw string, ends ...int) (string, bool) {
	t.Helper()
	d := newDriver(t, cfg, obs)
	from := 0
	alive := true
	for _, end := range append(ends, len(raw)) {
		if alive && end > from {
			alive = d.receive(raw[from:end])
			from = end
		}
	}
	d.conn.Abort(errGone)
	if open := cfg.Site.(*fakeSite).open; open != 0 {
		t.Fatalf("%d files left open", open)
	}
	return string(d.reply), !alive
}

// interim is the reply that depends on when the bytes of the body arrive.
const interim = "HTTP/1.1 100 Continue\r\n\r\n"

// exchangeEverySplit calls exchange with the whole request, byte by byte, and with every
// split into two pieces, and fails if the replies differ.
func exchangeEverySplit(t testing.TB, cfg func() *Config, raw string) (string, bool) {
	t.Helper()
	reply, ended := exchange(t, cfg(), nil, raw)
	reply = strings.ReplaceAll(reply, interim, "")
	check := func(ends ...int) {
		t.Helper()
		r, e := exchange(t, cfg(), nil, raw, ends...)
		if r = strings.ReplaceAll(r, interim, ""); r != reply || e != ended {
			t.Fatalf("cut at %d: ended %v\n%q\nwhole: ended %v\n%q", ends[0], e, r, ended, reply)
		}
	}
	each := make([]int, len(raw))
	for i := range each {
		each[i] = i + 1
	}
	check(each...)
	step := 1 + len(raw)/500
	for i := 1; i < len(raw); i += step {
		check(i)
	}
	return reply, ended
}

// record is what an observer was told about a request.
type record struct {
	method, target string
	status         proto.Status
	bytes          int64
	began          time.Duration
	reason         string
}

// errGone is the cause of a connection's end that the engine reports.
var errGone = errors.New("gone")

// observer records what it is told.
type observer struct {
	told    []string // in a word for each call
	heads   []string
	decided []Exchange // without what is valid during the call only
	records []record
	ids     []string
}

func (o *observer) Received(x *Exchange) {
	o.told = append(o.told, string(x.Line()))
	o.heads = append(o.heads, string(x.Head))
}

func (o *observer) Decided(x *Exchange) {
	o.told = append(o.told, fmt.Sprint(x.Status))
	o.decided = append(o.decided, Exchange{
		Status: x.Status, Source: x.Source, Closing: x.Closing, RangeField: x.RangeField, Codings: x.Codings,
		Conditions: x.Conditions, Ranges: append([]proto.Range(nil), x.Ranges...), Fault: x.Fault,
	})
}

func (o *observer) Ended(x *Exchange) {
	reason := x.Fault.Reason
	if o.told = append(o.told, fmt.Sprintf("whole, since %v", x.Began)); x.Err != nil {
		reason = x.Err.Error()
		o.told[len(o.told)-1] = "truncated"
	}
	o.records = append(o.records, record{string(x.Method()), string(x.Target()), x.Status, x.Bytes, x.Began, reason})
	o.ids = append(o.ids, string(x.ID))
}

// Parts of replies.
const (
	common = "Server: test\r\nDate: " + dateNow + "\r\nX-Content-Type-Options: nosniff\r\n"
	fresh  = "Expires: Sun, 06 Nov 1994 20:49:37 GMT\r\nCache-Control: max-age=43200\r\n"
	stale  = "Last-Modified: " + dateNow + "\r\nExpires: " + dateNow + "\r\n"
	closes = "Connection: close\r\n"
	keeps  = "Connection: keep-alive\r\n"
)

// tag returns the entity tag of an old file with n bytes.
func tag(n int) string { return fmt.Sprintf(`"%x-%x"`, int64((unixNow-1000)*1e9), n) }

func validFields(n int) string { return "Last-Modified: " + dateFile + "\r\nETag: " + tag(n) + "\r\n" }

// fileFields returns the fields of a file with n bytes and of its parts.
func fileFields(n int) string { return validFields(n) + "Accept-Ranges: bytes\r\n" }

// full returns a 200 with the file's data, fullHead its head.
func full(connection, data string) string { return fullHead(connection, len(data)) + data }

func fullHead(connection string, n int) string {
	return "HTTP/1.1 200 OK\r\n" + common + connection + fresh + fileFields(n) +
		fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n", n)
}

// part returns a 206 with data at an offset of a file with size bytes.
func part(data string, off, size int) string {
	return "HTTP/1.1 206 Partial Content\r\n" + common + fresh + fileFields(size) +
		fmt.Sprintf("Content-Type: text/plain\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n", off, off+len(data)-1, size, len(data)) + data
}

// page returns a reply with a generated page; fields come before Content-Type.
func page(connection, status, fields string) string {
	code, _ := strconv.Atoi(status[:3])
	body := string(appendPage(nil, proto.Status(code), advice(proto.Status(code))))
	return pageHead(connection, status, fields, len(body)) + body
}

func pageHead(connection, status, fields string, n int) string {
	about := stale
	if strings.HasPrefix(status, "412") || strings.HasPrefix(status, "416") {
		// The file exists, so the time is that of the file.
		about = strings.Replace(stale, "Last-Modified: "+dateNow, "Last-Modified: "+dateFile, 1)
	}
	return "HTTP/1.1 " + status + "\r\n" + common + connection + about + fields + theme.ErrorPolicy +
		fmt.Sprintf("Content-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n", n)
}
