package h2

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
)

func TestResponses(t *testing.T) {
	for _, r := range []struct {
		name   string
		fields []string
		status string
		size   int64
	}{
		{"GET", getFields("/"), "200", 4},
		{"an empty file", getFields("/empty"), "200", 0},
		{"a large file", getFields("/big"), "200", 102400 - 36865},
		{"HEAD", []string{":method", "HEAD", ":scheme", "http", ":path", "/big", ":authority", "x"}, "200", 0},
		{"a range", getFields("/a", "range", "bytes=2-4"), "206", 3},
		{"two ranges", getFields("/a", "range", "bytes=0-0,5-6"), "206", -1},
		{"not modified", getFields("/a", "if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), "304", 0},
		{"not found", getFields("/nope"), "404", -1},
		{"a method that is not allowed", []string{":method", "PUT", ":scheme", "http", ":path", "/", ":authority", "x"}, "405", -1},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "x:443"}, "405", -1},
		{"OPTIONS", []string{":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "x"}, "204", 0},
		{"Host instead of :authority", []string{":method", "GET", ":scheme", "http", ":path", "/", "host", "x"}, "200", 4},
		{"no host", []string{":method", "GET", ":scheme", "http", ":path", "/"}, "400", -1},
		{"a listing", getFields("/list/"), "200", 13},
		{"a long target", getFields("/" + strings.Repeat("x", 9000)), "414", -1},
		{"a long head", getFields("/", "x", strings.Repeat("x", 17000)), "431", -1},
		{"a head over the announced limit", getFields("/", "x", strings.Repeat("\\", 21000)), "431", -1},
		{"HEAD over the announced limit", []string{":method", "HEAD", ":scheme", "http", ":path", "/", ":authority", "x", "x", strings.Repeat("\\", 21000)}, "431", 0},
		{"HEAD of a path over the announced limit", []string{":method", "HEAD", ":scheme", "http", ":path", "/" + strings.Repeat("\\", 21000), ":authority", "x"}, "431", 0},
		{"HEAD behind a path over the announced limit", []string{":path", "/" + strings.Repeat("\\", 21000), ":method", "HEAD", ":scheme", "http"}, "431", 0},
		{"HEAD of a long target", []string{":method", "HEAD", ":scheme", "http", ":path", "/" + strings.Repeat("x", 9000), ":authority", "x"}, "414", 0},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := connect(t)
			if r.name == "a large file" {
				r.size = 102400
				c.framer.WriteWindowUpdate(0, 1<<20)
				c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
			}
			block := c.head(r.fields...)
			first := block[:min(len(block), 16384)]
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true, EndHeaders: len(first) == len(block)})
			if len(first) < len(block) {
				c.framer.WriteContinuation(1, true, block[len(first):])
			}
			c.flush()
			if r.size < 0 {
				r.size = c.bodies[1]
				if r.size == 0 {
					t.Error("no content")
				}
			}
			c.answered(1, r.status, r.size)
			if c.step != conn.Read || c.open() != 0 || c.conn.State() != conn.Idle || len(c.resets) > 0 {
				t.Errorf("step %d, %d open, state %d, resets %v", c.step, c.open(), c.conn.State(), c.resets)
			}
		})
	}
}

// Bytes have the same effect whether they arrive at once or in pieces, wherever they are
// split.
func TestEveryCut(t *testing.T) {
	c := connect(t)
	c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.head(getFields("/a")...), EndStream: true, EndHeaders: true, PadLength: 7, Priority: http2.PriorityParam{Weight: 3}})
	c.headers(3, false, getFields("/page", "content-length", "10")...)
	c.framer.WritePing(false, [8]byte{1})
	c.framer.WriteDataPadded(3, true, []byte("0123456789"), []byte{0, 0})
	c.framer.WriteRawFrame(0x42, 0, 0, []byte("unknown"))
	c.framer.WritePriority(5, http2.PriorityParam{Weight: 3})
	c.framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x07u=1,i"))
	block := c.head(getFields("/nope", "x", "y")...)
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: block[:3], EndStream: true})
	c.framer.WriteContinuation(5, true, block[3:])
	c.framer.WriteWindowUpdate(1, 5)
	c.framer.WriteWindowUpdate(3, 10000)
	c.framer.WriteWindowUpdate(5, 10000)
	c.get(7, "/big")
	c.framer.WriteRSTStream(7, http2.ErrCodeCancel)
	input := c.send.String()
	run := func(cuts ...int) string {
		c := connect(t)
		for i, at := range cuts {
			from := 0
			if i > 0 {
				from = cuts[i-1]
			}
			c.send.WriteString(input[from:at])
			c.flush()
		}
		delete(c.bodies, 7) // it may have begun
		delete(c.heads, 7)
		return fmt.Sprint(c.heads, c.bodies, c.ended[1], c.ended[3], c.ended[5], c.resets, c.goaway, c.acks, len(c.pings), c.open())
	}
	want := run(len(input))
	if !strings.HasPrefix(want, "map[1:200 3:200 5:404] map[1:10 3:8192 5:") {
		t.Fatal(want)
	}
	for i := 1; i < len(input); i++ {
		if got := run(i, len(input)); got != want {
			t.Fatalf("cut at %d: %s, want %s", i, got, want)
		}
	}
	var each []int
	for i := range input {
		each = append(each, i+1)
	}
	if got := run(each...); got != want {
		t.Errorf("byte by byte: %s, want %s", got, want)
	}
}

// A malformed request is a stream error (RFC 9113 §8.1.1).
func TestMalformed(t *testing.T) {
	line := []string{":method", "GET", ":scheme", "http", ":path", "/"}
	for name, fields := range map[string][]string{
		"no method":                       line[2:],
		"no scheme":                       {":method", "GET", ":path", "/"},
		"no path":                         line[:4],
		"an empty path":                   {":method", "GET", ":scheme", "http", ":path", ""},
		"a path without a slash":          {":method", "GET", ":scheme", "http", ":path", "http://x/"},
		"a space in the path":             {":method", "GET", ":scheme", "http", ":path", "/ HTTP/1.1"},
		"a line in the path":              {":method", "GET", ":scheme", "http", ":path", "/\r\nhost: evil"},
		"a space in the method":           {":method", "GET /", ":scheme", "http", ":path", "/"},
		"a line in the authority":         append([]string{":authority", "x\r\nx: y"}, line...),
		"two paths":                       append([]string{":path", "/"}, line...),
		"an unknown pseudo field":         append([]string{":extended", "x"}, line...),
		"a pseudo field of responses":     append([]string{":status", "200"}, line...),
		"a pseudo field behind others":    append([]string{"x", "y"}, line...),
		"an upper-case name":              append(line, "X-Name", "x"),
		"an empty name":                   append(line, "", "x"),
		"a space in a name":               append(line, "x y", "x"),
		"a colon in a name":               append(line, "x:y", "x"),
		"a line in a value":               append(line, "x", "y\r\nz: w"),
		"a NUL in a value":                append(line, "x", "y\x00"),
		"white space around a value":      append(line, "x", " y"),
		"Connection":                      append(line, "connection", "close"),
		"Transfer-Encoding":               append(line, "transfer-encoding", "chunked"),
		"Upgrade":                         append(line, "upgrade", "h2c"),
		"TE":                              append(line, "te", "gzip"),
		"Host that is not the :authority": append([]string{":authority", "x"}, append(line, "host", "y")...),
		"CONNECT with a path":             {":method", "CONNECT", ":authority", "x", ":path", "/"},
		"a length without content":        append(line, "host", "x", "content-length", "5"),
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t)
			c.headers(1, true, fields...)
			c.get(3, "/")
			c.flush()
			if code, ok := c.resets[1]; !ok || code != ProtocolError || c.heads[1] != "" {
				t.Errorf("resets %v, heads %v", c.resets, c.heads)
			}
			c.answered(3, "200", 4)
		})
	}
	c := connect(t)
	c.headers(1, true, append(line, "host", "x", "te", "trailers")...)
	c.flush()
	c.answered(1, "200", 4)
}

// A browser sends each cookie in a field of its own. They are one field of the request
// (RFC 9113 §8.2.3).
func TestCookies(t *testing.T) {
	c := connect(t)
	fields := getFields("/", "a", "b")
	for i := range 150 {
		fields = append(fields, "cookie", fmt.Sprintf("c%d=%d", i, i))
	}
	c.headers(1, false, append(fields, "d", "e", "cookie", "f=g")...)
	c.flush()
	s := c.conn.find(1)
	if s == nil {
		t.Fatalf("status %q", c.heads[1])
	}
	head := string(s.head)
	if !strings.Contains(head, "\r\na: b\r\ncookie: c0=0; c1=1; c2=2; ") || !strings.HasSuffix(head, "; c149=149\r\nd: e\r\ncookie: f=g\r\n\r\n") {
		t.Errorf("head %q", head)
	}
	c.framer.WriteData(1, true, nil)
	c.flush()
	c.answered(1, "200", 4)
}

// The content of requests is discarded, and its flow-control window is restored.
func TestContent(t *testing.T) {
	for _, r := range []struct {
		name   string
		method string
		length string // "" for none
		sent   int
		status string
		reset  Code
	}{
		{"with a length", "GET", "500000", 500000, "200", 99},
		{"without a length", "GET", "", 500000, "200", 99},
		{"too short", "GET", "500001", 500000, "", ProtocolError},
		{"too long", "GET", "499999", 500000, "", ProtocolError},
		{"over the limit", "GET", "", 2 << 20, "413", NoError},
		{"announced over the limit", "GET", "2000000", 0, "413", NoError},
		{"of a method that is refused", "POST", "", 100_000, "405", 99},
		{"of a method that is refused, too short", "POST", "101", 100, "", ProtocolError},
		{"expected", "GET", "5", 5, "100200", 99},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := connect(t)
			fields := []string{":method", r.method, ":scheme", "https", ":path", "/", ":authority", "x"}
			if r.length != "" {
				fields = append(fields, "content-length", r.length)
			}
			if r.name == "expected" {
				fields = append(fields, "expect", "100-continue")
			}
			c.headers(1, false, fields...)
			c.flush()
			for left := r.sent; left > 0; {
				n := min(left, 16384)
				left -= n
				c.framer.WriteData(1, left == 0 && r.reset != NoError, make([]byte, n))
				c.flush()
			}
			code, was := c.resets[1]
			if c.heads[1] != r.status || was != (r.reset != 99) || was && code != r.reset {
				t.Errorf("status %q, resets %v, GOAWAY %v", c.heads[1], c.resets, c.goaway)
			}
			// The connection's window is restored.
			if c.get(3, "/"); c.conn.credit < receiveWindow-returnAt {
				t.Errorf("credit of %d", c.conn.credit)
			}
			c.flush()
			c.answered(3, "200", 4)
		})
	}
}

// Trailers are accepted and ignored.
func TestTrailers(t *testing.T) {
	c := connect(t)
	c.headers(1, false, getFields("/")...)
	c.framer.WriteData(1, false, []byte("x"))
	c.headers(1, true, "x-sum", "1")
	c.headers(3, false, getFields("/")...)
	c.headers(3, true, ":path", "/")
	c.headers(5, false, getFields("/")...)
	c.headers(5, false, "x-sum", "1")
	c.flush()
	c.answered(1, "200", 4)
	if c.resets[3] != ProtocolError || c.resets[5] != ProtocolError || len(c.resets) != 2 {
		t.Errorf("resets %v", c.resets)
	}
}

// A response that is generated while it is sent is waited for, while other streams continue.
func TestAwait(t *testing.T) {
	c := connect(t)
	site := c.http.Site.(*fakeSite)
	site.list = []string{"", "first ", "", "second ", "third"}
	c.get(1, "/list/")
	c.flush()
	list := site.listed
	c.get(3, "/")
	c.flush()
	c.answered(3, "200", 4)
	if c.heads[1] != "" || c.step != conn.Read || c.woken {
		t.Fatalf("heads %v, step %d", c.heads, c.step)
	}
	list.more()
	c.run()
	if c.heads[1] != "200" || c.bodies[1] != 6 || c.ended[1] || !c.woken {
		t.Fatalf("heads %v, bodies %v", c.heads, c.bodies)
	}
	list.more()
	c.run()
	c.answered(1, "200", 18)
	// A response that fails is reset. One that the client resets is closed.
	site.breaks, site.list = true, []string{"x"}
	c.get(5, "/list/")
	c.flush()
	site.list = []string{""}
	c.get(7, "/list/")
	c.flush()
	c.framer.WriteRSTStream(7, http2.ErrCodeCancel)
	c.flush()
	if c.resets[5] != InternalError || c.ended[5] || c.open() != 0 || c.conn.waiting != 0 {
		t.Errorf("resets %v, %d open, %d waiting", c.resets, c.open(), c.conn.waiting)
	}
}

// After a response that fails with its first piece, both sides' HPACK tables are equal.
func TestFirstPieceFails(t *testing.T) {
	c := connect(t)
	site := c.http.Site.(*fakeSite)
	list := site.list
	site.list, site.breaks = nil, true
	c.get(1, "/list/")
	c.flush()
	site.list, site.breaks = list, false
	c.get(3, "/list/")
	c.flush()
	c.answered(3, "200", 13)
	if code, ok := c.resets[1]; !ok || code != InternalError || c.ended[1] || c.heads[1] != "200" || len(c.resets) != 1 {
		t.Errorf("status %q, ended %v, resets %v", c.heads[1], c.ended[1], c.resets)
	}
}
