package serve_test

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// speaksHTTP2 makes a server accept the HTTP/2 preface.
func speaksHTTP2(cfg *serve.Config) { cfg.Conn.HTTP2 = true }

// h2client is a client of HTTP/2 in cleartext that reads and writes frames.
type h2client struct {
	t    *testing.T
	conn net.Conn
	*http2.Framer
}

// dialHTTP2 connects, exchanges SETTINGS, and opens the connection's window wide.
func dialHTTP2(t *testing.T, s *servetest.Server) *h2client {
	t.Helper()
	return greetHTTP2(t, s.Dial())
}

// greetHTTP2 is dialHTTP2 on a connection.
func greetHTTP2(t *testing.T, c net.Conn) *h2client {
	t.Helper()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	servetest.Send(t, c, conn.Preface)
	h := &h2client{t, c, http2.NewFramer(c, c)}
	h.must(h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}))
	h.must(h.WriteWindowUpdate(0, 1<<30))
	for h.next() != http2.FrameSettings { // the server's own, and then its acknowledgement
	}
	h.must(h.WriteSettingsAck())
	for h.next() != http2.FrameSettings {
	}
	return h
}

func (h *h2client) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// next reads a frame and returns its type.
func (h *h2client) next() http2.FrameType {
	h.t.Helper()
	f, err := h.ReadFrame()
	h.must(err)
	return f.Header().Type
}

// headers returns the header block of a request for a path, with further fields.
func headers(path string, fields ...hpack.HeaderField) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path},
		{Name: ":authority", Value: "a", Sensitive: true}, // never indexed
	}, fields...) {
		f.Sensitive = true
		e.WriteField(f)
	}
	return b.Bytes()
}

// ask requests a path, with further fields.
func (h *h2client) ask(stream uint32, path string, fields ...hpack.HeaderField) {
	h.t.Helper()
	h.must(h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: headers(path, fields...), EndStream: true, EndHeaders: true}))
}

// whole reads until the response on a stream has ended, and returns its content.
func (h *h2client) whole(stream uint32) (content []byte) {
	h.t.Helper()
	for {
		f, err := h.ReadFrame()
		h.must(err)
		switch f := f.(type) {
		case *http2.DataFrame:
			if f.StreamID != stream {
				continue
			}
			if content = append(content, f.Data()...); f.StreamEnded() {
				return content
			}
		case *http2.HeadersFrame:
			if f.StreamID == stream && f.StreamEnded() {
				return content
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			h.t.Fatalf("unexpected frame: %v", f)
		}
	}
}

// A client that requests a hundred large files and reads nothing delays no other client, and receives all
// of them once it reads.
func TestHTTP2ClientThatReadsNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		big, small := servetest.Noise(t, filepath.Join(dir, "big"), 1<<20), servetest.Noise(t, filepath.Join(dir, "small"), 3000)
		s := servetest.Start(t, dir, run, speaksHTTP2)
		deaf := dialHTTP2(t, s)
		for i := range uint32(100) {
			deaf.ask(2*i+1, "/big")
		}
		for range 5 {
			other := dialHTTP2(t, s)
			for i := range uint32(20) {
				other.ask(2*i+1, "/small")
				if got := other.whole(2*i + 1); !bytes.Equal(got, small) {
					t.Fatalf("the small file has %d bytes, want the %d expected ones", len(got), len(small))
				}
			}
			other.conn.Close()
		}
		content := map[uint32]int{}
		for ended := 0; ended < 100; {
			f, err := deaf.ReadFrame()
			deaf.must(err)
			if f, ok := f.(*http2.DataFrame); ok {
				if content[f.StreamID] += len(f.Data()); f.StreamEnded() {
					ended++
				}
				deaf.must(deaf.WriteWindowUpdate(0, uint32(max(1, len(f.Data())))))
			}
		}
		for stream, n := range content {
			if n != len(big) {
				t.Errorf("stream %d has %d bytes, want %d", stream, n, len(big))
			}
		}
		deaf.conn.Close()
		s.Stop()
	})
}

// A drain sends GOAWAY at once, and again with the last stream once the requests on their way have arrived.
// They get a response.
func TestHTTP2Drain(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		file := servetest.Noise(t, filepath.Join(dir, "f"), 3000)
		clock := held{times: 1}
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			speaksHTTP2(cfg)
			cfg.Clock = clock.read
		})
		c := dialHTTP2(t, s)
		c.ask(1, "/f")
		if got := c.whole(1); !bytes.Equal(got, file) {
			t.Fatalf("the file has %d bytes", len(got))
		}
		s.Order(serve.Drain{})
		goAway := func() *http2.GoAwayFrame {
			t.Helper()
			for {
				f, err := c.ReadFrame()
				c.must(err)
				if f, ok := f.(*http2.GoAwayFrame); ok {
					return f
				}
			}
		}
		if f := goAway(); f.LastStreamID != 1<<31-1 || f.ErrCode != http2.ErrCodeNo {
			t.Errorf("the first GOAWAY is %v, want the largest stream ID and NO_ERROR", f)
		}
		c.ask(3, "/f")
		if got := c.whole(3); !bytes.Equal(got, file) {
			t.Errorf("a request after the first GOAWAY: %d bytes", len(got))
		}
		clock.release() // the second GOAWAY comes after a grace period
		if f := goAway(); f.LastStreamID != 3 || f.ErrCode != http2.ErrCodeNo {
			t.Errorf("the second GOAWAY is %v, want stream 3 and NO_ERROR", f)
		}
		if _, err := c.ReadFrame(); err != io.EOF {
			t.Errorf("after the second GOAWAY: %v, want EOF", err)
		}
		c.conn.Close()
		s.Wait()
	})
}

// A request on an open connection allocates nothing.
func TestHTTP2RequestAllocatesNothing(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			dir := withFile(t, 4096)
			const times = 200
			began := time.Now()
			still := func(cfg *serve.Config) {
				speaksHTTP2(cfg)
				cfg.Clock = func() (time.Time, time.Duration) { return began, time.Since(began) }
			}
			s := servetest.Start(t, dir, e.run, still)
			defer s.Stop()
			old := s.Dial()
			p := &pinger{t: t, conn: old, requests: [][]byte{[]byte(servetest.Get("/f"))}, buf: make([]byte, len(response(t, old, servetest.Get("/f"))))}
			base := p.mallocs(times)
			old.Close()

			c := dialHTTP2(t, s)
			length := 0
			for i := range uint32(5) { // until the HPACK table is filled
				c.ask(2*i+1, "/f")
				length = 9 + 9
				for ended := false; !ended; {
					f, err := c.ReadFrame()
					c.must(err)
					length += int(f.Header().Length)
					ended = f.Header().Flags.Has(http2.FlagDataEndStream) && f.Header().Type == http2.FrameData
				}
			}
			p = &pinger{t: t, conn: c.conn, buf: make([]byte, length)}
			for i := range uint32(pingsBefore + servetest.Rounds*times) {
				var b bytes.Buffer
				http2.NewFramer(&b, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 11 + 2*i, BlockFragment: headers("/f"), EndStream: true, EndHeaders: true})
				p.requests = append(p.requests, b.Bytes())
			}
			got := p.mallocs(times) - base
			c.conn.Close()
			t.Logf("%d allocations in %d requests, and %d over HTTP/1.1", got+base, times, base)
			if got > times/20+poolsLose()*times {
				t.Errorf("%d allocations more than over HTTP/1.1 in %d requests, want none", got, times)
			}
		})
	}
}

// A connection that ends with an error during a generated response lingers for the client's close without
// polling.
func TestHTTP2LingersWithoutPolling(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, filepath.Join(dir, "huge"), 1<<34)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		change, done := archives(t, dir)
		defer done()
		var looks atomic.Int64
		began := time.Now()
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			change(cfg)
			speaksHTTP2(cfg)
			cfg.Clock = func() (time.Time, time.Duration) {
				looks.Add(1)
				now := time.Now()
				return now, now.Sub(began)
			}
		})
		c := dialHTTP2(t, s)
		c.ask(1, "/?archive=tar")
		for n := 0; n < 3<<20; {
			f, err := c.ReadFrame()
			c.must(err)
			if f, ok := f.(*http2.DataFrame); ok {
				n += len(f.Data())
			}
		}
		c.must(c.WriteRawFrame(http2.FrameData, 0, 0, []byte("a")))
		var err error
		for err == nil {
			_, err = c.ReadFrame()
		}
		if err != io.EOF {
			t.Fatal(err)
		}
		before := looks.Load()
		s.Stop() // after the linger timeout
		if n := looks.Load() - before; n > 1000 {
			t.Errorf("the clock was read %d times while the connection lingered, want at most 1000", n)
		}
		c.conn.Close()
	})
}
