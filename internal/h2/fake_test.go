package h2

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// unixNow is the time of the tests.
const unixNow = 784111777

// fakeFile is a file in memory, or one of zeros that is larger than any memory.
type fakeFile struct {
	entity proto.Entity
	data   []byte
	size   int64
	site   *fakeSite
}

func (f *fakeFile) Size() int64            { return f.size }
func (f *fakeFile) Modified() proto.Time   { return proto.Time{Sec: unixNow - 1000} }
func (f *fakeFile) Settled() bool          { return true }
func (f *fakeFile) ContentType() string    { return "text/plain" }
func (f *fakeFile) Coding() proto.Coding   { return 0 }
func (f *fakeFile) Copied() bool           { return false }
func (f *fakeFile) Vary() string           { return "" }
func (f *fakeFile) Entity() *proto.Entity  { return &f.entity }
func (f *fakeFile) Digest() ([]byte, bool) { return nil, false }
func (f *fakeFile) CacheControl() string   { return "" }
func (f *fakeFile) Body() []byte           { return f.data }
func (f *fakeFile) Fd() int {
	if f.data != nil {
		return -1
	}
	return 3
}
func (f *fakeFile) Close() { f.site.open-- }

// fakeList is a listing of pieces. Empty ones have to be waited for.
type fakeList struct {
	pieces []string
	wake   func()
	site   *fakeSite
}

func (l *fakeList) ContentType() string           { return "text/html" }
func (l *fakeList) FileName() string              { return "" }
func (l *fakeList) ETag() []byte                  { return nil }
func (l *fakeList) Prepare() (bool, proto.Status) { return !l.waits(), proto.StatusOK }
func (l *fakeList) Append(dst []byte) ([]byte, bool, error) {
	if len(l.pieces) == 0 {
		return dst, false, errors.New("broken")
	}
	if !l.waits() {
		dst, l.pieces = append(dst, l.pieces[0]...), l.pieces[1:]
	}
	return dst, len(l.pieces) == 0 && !l.site.breaks, nil
}
func (l *fakeList) waits() bool { return len(l.pieces) > 0 && l.pieces[0] == "" }
func (l *fakeList) Await(wake func()) bool {
	l.wake = wake
	return l.waits()
}
func (l *fakeList) Close() { l.site.open-- }

// more lets the list continue.
func (l *fakeList) more() {
	l.pieces = l.pieces[1:]
	l.wake()
}

// fakeSite has files, and one listing.
type fakeSite struct {
	files  map[string]*fakeFile
	list   []string
	listed *fakeList // the last one
	breaks bool      // listings break off
	open   int       // files and listings that are not closed
}

func (s *fakeSite) Open(path []byte, _ proto.Codings, _ *proto.Access) (conn.File, proto.Status) {
	if f := s.files[string(path)]; f != nil {
		s.open++
		return f, proto.StatusOK
	}
	if string(path) == "/list/" {
		return nil, proto.StatusForbidden
	}
	return nil, proto.StatusNotFound
}
func (s *fakeSite) List(_, _ []byte, _ bool, _ *proto.Access) (conn.Stream, proto.Status) {
	s.open++
	s.listed = &fakeList{pieces: s.list, site: s}
	return s.listed, proto.StatusOK
}
func (s *fakeSite) Archive(_ []byte, _ string, _ *proto.Access) (conn.Stream, proto.Status) {
	return nil, proto.StatusServiceUnavailable
}
func (s *fakeSite) Fallback(path []byte, c proto.Codings, _ *proto.Access) (conn.File, proto.Status) {
	return nil, proto.StatusNotFound
}
func (s *fakeSite) Page(proto.Status, *proto.Access) (conn.File, bool) { return nil, false }
func (s *fakeSite) Rules() *rules.Set                                  { return nil }

const hugeSize = 100 << 30

func newConfig() *conn.Config {
	s := &fakeSite{list: []string{"one ", "two ", "three"}}
	add := func(path string, data string) {
		s.files[path] = &fakeFile{data: []byte(data), size: int64(len(data)), site: s}
	}
	s.files = map[string]*fakeFile{"/huge": {size: hugeSize, site: s}}
	add("/", "home")
	add("/a", "0123456789")
	add("/empty", "")
	add("/page", strings.Repeat("p", 8<<10))
	add("/big", strings.Repeat("0123456789abcdef", 6400))
	return &conn.Config{Site: s, Server: "test", KeepAlive: 30 * time.Second, Expires: time.Hour, List: true}
}

// client drives a connection as an engine does, and reads what it sends with x/net's
// parser, which also checks it.
type client struct {
	t     testing.TB
	http  *conn.Config
	cfg   *Config
	conn  *Conn
	now   conn.Now
	step  conn.Step
	woken bool

	out    []byte // one call of Next
	in     bytes.Buffer
	framer *http2.Framer // writes to send, reads from in
	send   bytes.Buffer
	enc    *hpack.Encoder
	block  bytes.Buffer
	obs    conn.Observer

	fields []hpack.HeaderField
	heads  map[uint32]string // ":status" of each stream
	bodies map[uint32]int64  // bytes of content
	ended  map[uint32]bool   // END_STREAM
	resets map[uint32]Code   // RST_STREAM
	order  []uint32          // of DATA frames
	goaway []*http2.GoAwayFrame
	acks   int
	pings  []*http2.PingFrame
}

func newClient(t testing.TB, http *conn.Config, obs conn.Observer) *client {
	c := &client{t: t, http: http, cfg: NewConfig(http, NewBounds(1<<20)), obs: obs, out: make([]byte, 0, 256<<10),
		heads: map[uint32]string{}, bodies: map[uint32]int64{}, ended: map[uint32]bool{}, resets: map[uint32]Code{}}
	c.now = conn.Now{Mono: time.Hour, Second: http.NewSecond(unixNow)}
	c.conn = New(c.cfg, http1(c.cfg, obs, c.now), func() { c.woken = true }, c.now)
	c.framer = http2.NewFramer(&c.send, &c.in)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.enc = hpack.NewEncoder(&c.block)
	return c
}

// connect is newClient after the client's preface.
func connect(t testing.TB, settings ...http2.Setting) *client {
	c := newClient(t, newConfig(), nil)
	c.hello(settings...)
	return c
}

func (c *client) hello(settings ...http2.Setting) {
	c.send.WriteString(conn.Preface)
	c.framer.WriteSettings(settings...)
	c.flush()
}

// flush passes what was written to the connection, and runs it.
func (c *client) flush() {
	c.t.Helper()
	p := bytes.Clone(c.send.Bytes())
	c.send.Reset()
	if len(p) > 0 {
		c.conn.Receive(p, c.now)
	}
	c.run()
	clear(p) // the buffer is used for something else
}

// run takes steps until the connection wants to read, or ends.
func (c *client) run() {
	c.t.Helper()
	for range 1 << 20 {
		if !c.once() {
			return
		}
	}
	c.t.Fatal("the connection does not stop taking steps")
}

// once calls Next and takes the step. It returns false if there is nothing to do.
func (c *client) once() bool {
	c.t.Helper()
	c.out, c.step = c.conn.Next(c.out[:0], c.now)
	c.in.Write(c.out)
	c.conn.Hold()
	if c.step == conn.Send {
		seg := c.conn.Segment()
		if body := seg.File.Body(); body != nil {
			c.in.Write(body[seg.Off : seg.Off+seg.Len])
		} else {
			c.in.Write(make([]byte, seg.Len))
		}
		c.conn.Sent(seg.Len, c.now)
	}
	if c.conn.rest == 0 {
		c.parse()
	}
	return c.step == conn.Send || c.step == conn.Flush
}

// parse reads the frames that have arrived.
func (c *client) parse() {
	c.t.Helper()
	for c.in.Len() > 0 {
		f, err := c.framer.ReadFrame()
		if err == io.EOF {
			return
		}
		if err != nil {
			c.t.Fatalf("x/net refuses a frame: %v (%v)", err, c.framer.ErrorDetail())
		}
		c.note(f)
	}
}

func (c *client) note(f http2.Frame) {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		if c.heads[id] += f.PseudoValue("status"); c.ended[id] {
			c.t.Fatalf("HEADERS after the end of stream %d", id)
		}
		c.ended[id], c.fields = f.StreamEnded(), f.RegularFields()
	case *http2.DataFrame:
		if c.heads[id] == "" || c.ended[id] {
			c.t.Fatalf("DATA outside of stream %d", id)
		}
		c.bodies[id] += int64(len(f.Data()))
		c.order = append(c.order, id)
		c.ended[id] = f.StreamEnded()
	case *http2.RSTStreamFrame:
		c.resets[id] = Code(f.ErrCode)
	case *http2.GoAwayFrame:
		c.goaway = append(c.goaway, &http2.GoAwayFrame{LastStreamID: f.LastStreamID, ErrCode: f.ErrCode})
	case *http2.SettingsFrame:
		if f.IsAck() {
			c.acks++
		}
	case *http2.PingFrame:
		c.pings = append(c.pings, &http2.PingFrame{FrameHeader: f.FrameHeader, Data: f.Data})
	}
}

// head encodes a header block: name, value, …
func (c *client) head(fields ...string) []byte {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(c.block.Bytes())
}

func getFields(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "x.test", ":path", path}, more...)
}

// get writes a request without content.
func (c *client) get(id uint32, path string, more ...string) {
	c.headers(id, true, getFields(path, more...)...)
}

func (c *client) headers(id uint32, end bool, fields ...string) {
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.head(fields...), EndStream: end, EndHeaders: true})
}

// open returns the number of files that the site has open.
func (c *client) open() int { return c.http.Site.(*fakeSite).open }

// failed checks that the connection has ended with a code.
func (c *client) failed(code Code) {
	c.t.Helper()
	if len(c.goaway) == 0 || Code(c.goaway[len(c.goaway)-1].ErrCode) != code || c.step != conn.Linger || c.open() != 0 {
		c.t.Errorf("step %d, GOAWAY %v, %d files open; want code %d", c.step, c.goaway, c.open(), code)
	}
}

// answered checks the response to a stream: its status and its bytes.
func (c *client) answered(id uint32, status string, size int64) {
	c.t.Helper()
	if c.heads[id] != status || c.bodies[id] != size || !c.ended[id] {
		c.t.Errorf("stream %d: status %q, %d bytes, ended %v, reset %v; want %s and %d bytes", id, c.heads[id], c.bodies[id], c.ended[id], c.resets, status, size)
	}
}

// http1 returns a connection that switches to HTTP/2.
func http1(cfg *Config, obs conn.Observer, now conn.Now) *conn.Conn {
	c := conn.New(cfg.http, obs, now)
	return &c
}
