package conn

import (
	"errors"
	"strings"
	"testing"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// fakeStream is ready after some calls of Prepare, or returns an error status.
type fakeStream struct {
	site   *listSite
	before int
	status proto.Status
}

func (s *fakeStream) Prepare() (bool, proto.Status) {
	if s.before--; s.before >= 0 {
		return false, proto.StatusOK
	}
	return s.status == proto.StatusOK, s.status
}
func (s *fakeStream) ETag() []byte        { return []byte(`"l"`) }
func (s *fakeStream) FileName() string    { return "" }
func (s *fakeStream) ContentType() string { return "text/html" }
func (s *fakeStream) Append(dst []byte) ([]byte, bool, error) {
	return append(dst, "a list"...), true, nil
}
func (s *fakeStream) Await(func()) bool { return false }
func (s *fakeStream) Close()            { s.site.streams-- }

// listSite has a listing for /shut.
type listSite struct {
	*fakeSite
	status  proto.Status
	streams int // that are not closed
}

func (s *listSite) List(_, _ []byte, _ bool, _ *proto.Access) (Stream, proto.Status) {
	s.streams++
	return &fakeStream{site: s, before: 3, status: s.status}, proto.StatusOK
}

// A listing is sent when it is ready. Until then it may still become an error.
func TestStreamIsPrepared(t *testing.T) {
	const fields = "Cache-Control: no-cache\r\nVary: Accept\r\nETag: \"l\"\r\n"
	const whole = fields + theme.ListingPolicy + "Content-Type: text/html\r\n"
	const list = "HTTP/1.1 200 OK\r\n" + common + stale + whole
	const old = "HTTP/1.1 200 OK\r\n" + common + closes + stale + whole + "\r\na list"
	const current = "HTTP/1.1 304 Not Modified\r\n" + common + stale + fields + "\r\n"
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	busy := page("", "503 Service Unavailable", "Retry-After: 1\r\n")
	for _, tt := range []struct {
		name, raw string
		status    proto.Status
		want      string
	}{
		{"9112-7.1 a list", get("/shut") + get("/"), 200, list + chunked + "00000006\r\na list\r\n0\r\n\r\n" + home},
		{"9110-9.3.2 to HEAD", request("HEAD", "/shut") + get("/"), 200, list + chunked + home},
		{"9112-6.3 to HTTP/1.0", "GET /shut HTTP/1.0\r\n\r\n", 200, old},
		{"9110-13.1.2 one that is current", get("/shut", `If-None-Match: W/"l"`) + get("/"), 200, current + home},
		{"9110-13.1.2 to HEAD", request("HEAD", "/shut", `If-None-Match: "l"`) + get("/"), 200, current + home},
		{"9110-13.1.2 another", get("/shut", `If-None-Match: "k"`) + get("/"), 200, list + chunked + "00000006\r\na list\r\n0\r\n\r\n" + home},
		{"9110-13.1.3 a list has no date", get("/shut", "If-Modified-Since: "+dateNow) + get("/"), 200, list + chunked + "00000006\r\na list\r\n0\r\n\r\n" + home},
		{"9110-15.5.13 not the one that is meant", get("/shut", `If-Match: "k"`) + get("/"), 200, strings.Replace(page("", "412 Precondition Failed", ""), dateFile, dateNow, 1) + home},
		{"9110-15.6.4 no room for it", get("/shut") + get("/"), 503, busy + home},
	} {
		site := &listSite{fakeSite: newFakeSite(), status: tt.status}
		cfg := newConfig()
		cfg.Site, cfg.List = site, true
		d := newDriver(t, cfg, nil)
		d.receive(tt.raw)
		if string(d.reply) != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, clip(string(d.reply)), clip(tt.want))
		}
		if site.streams != 0 {
			t.Errorf("%s: %d streams are open", tt.name, site.streams)
		}
	}
}

// A client that disconnects before a listing is ready gets nothing, and nothing stays open.
func TestStreamIsAbandoned(t *testing.T) {
	site := &listSite{fakeSite: newFakeSite(), status: proto.StatusOK}
	cfg := newConfig()
	cfg.Site, cfg.List = site, true
	d := newDriver(t, cfg, nil)
	d.conn.Receive([]byte(get("/shut")), d.now)
	if !d.once() || d.step != Await || len(d.reply) != 0 || d.conn.State() != Sending || d.conn.Timer() != TimerSend {
		t.Errorf("%d %s", d.step, clip(strings.TrimSpace(string(d.reply))))
	}
	d.conn.Abort(errors.New("gone"))
	if site.streams != 0 || d.once() {
		t.Error("the connection continues")
	}
}
