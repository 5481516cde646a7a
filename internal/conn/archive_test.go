package conn

import (
	"errors"
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// fakeArchive has one piece for each call of Append; an empty one means that nothing is
// ready yet.
type fakeArchive struct {
	site   *archiveSite
	pieces []string
	err    error // in the place of the end
	wake   func()
}

func (a *fakeArchive) ETag() []byte                  { return nil }
func (a *fakeArchive) FileName() string              { return a.site.name }
func (a *fakeArchive) ContentType() string           { return "application/zip" }
func (a *fakeArchive) Prepare() (bool, proto.Status) { return true, proto.StatusOK }
func (a *fakeArchive) Close()                        { a.site.open-- }
func (a *fakeArchive) Append(dst []byte) ([]byte, bool, error) {
	if len(a.pieces) == 0 {
		return dst, a.err == nil, a.err
	}
	dst = append(dst, a.pieces[0]...)
	a.pieces = a.pieces[1:]
	return dst, false, nil
}

func (a *fakeArchive) Await(wake func()) bool {
	a.wake = wake
	return true
}

// archiveSite has an archive of every directory.
type archiveSite struct {
	*fakeSite
	name   string
	pieces []string
	err    error
	open   int
	last   *fakeArchive
}

func (s *archiveSite) Archive(_ []byte, _ string, _ *proto.Access) (Stream, proto.Status) {
	s.open++
	s.last = &fakeArchive{site: s, pieces: s.pieces, err: s.err}
	return s.last, proto.StatusOK
}

func archiveDriver(t *testing.T, s *archiveSite) *driver {
	s.fakeSite = newFakeSite()
	cfg := newConfig()
	cfg.Site, cfg.Archive = s, func(query []byte) string {
		if string(query) == "?archive=zip" {
			return "zip"
		}
		return ""
	}
	return newDriver(t, cfg, nil)
}

func TestArchiveResponse(t *testing.T) {
	const saved = "Content-Disposition: attachment; filename=\"a \"; filename*=UTF-8''a%20\r\n"
	const fields = stale + "Cache-Control: no-cache\r\n" + saved + "Accept-Ranges: none\r\nContent-Type: application/zip\r\n"
	const head = "HTTP/1.1 200 OK\r\n" + common + fields + "Transfer-Encoding: chunked\r\n\r\n"
	const whole = head + "00000002\r\nPK\r\n00000001\r\n!\r\n0\r\n\r\n"
	for _, tt := range []struct{ name, raw, want string }{
		{"a directory", get("/?archive=zip") + get("/"), whole + home},
		{"a part of it", get("/?archive=zip", "Range: bytes=0-0") + get("/"), whole + home},
		{"as if it had a validator", get("/?archive=zip", "If-None-Match: *", "If-Match: \"x\"") + get("/"), whole + home},
		{"to HEAD", request("HEAD", "/?archive=zip") + get("/"), head + home},
		{"to HTTP/1.0", "GET /?archive=zip HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n" + common + closes + fields + "\r\nPK!"},
		{"another query", get("/?archive=rar"), home},
		{"a file", get("/a?archive=zip"), ""},
	} {
		s := &archiveSite{name: "a ", pieces: []string{"PK", "!"}}
		d := archiveDriver(t, s)
		d.receive(tt.raw)
		if got := string(d.reply); got != tt.want && (tt.want != "" || strings.Contains(got, "PK") || !strings.HasPrefix(got, "HTTP/1.1 200")) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, clip(got), clip(tt.want))
		}
		if s.open != 0 {
			t.Errorf("%s: %d archives are open", tt.name, s.open)
		}
	}
}

// The connection waits for a response that is not ready. One that cannot be completed is
// truncated in a way that its client notices.
func TestArchiveWaitsAndFails(t *testing.T) {
	for _, minor := range []string{"1.1", "1.0"} {
		s := &archiveSite{pieces: []string{"PK", "", "!"}, err: errors.New("a file became shorter")}
		d := archiveDriver(t, s)
		d.conn.Receive([]byte("GET /?archive=zip HTTP/"+minor+"\r\nHost: a\r\n\r\n"), d.now)
		var steps []Step
		for d.once() {
			if steps = append(steps, d.step); d.step == Await && !d.conn.Await(func() {}) {
				t.Fatal("there is nothing to wait for")
			}
		}
		if d.step != Reset || len(steps) < 4 || steps[1] != Await || s.open != 0 {
			t.Errorf("HTTP/%s: steps %v, then %d, %d open", minor, steps, d.step, s.open)
		}
		if got := string(d.reply); !strings.Contains(got, "PK") || !strings.Contains(got, "!") || strings.HasSuffix(got, "0\r\n\r\n") {
			t.Errorf("HTTP/%s: %s", minor, clip(got))
		}
	}
	s := &archiveSite{pieces: []string{""}}
	d := archiveDriver(t, s)
	d.conn.Receive([]byte(get("/?archive=zip")), d.now)
	d.once()
	d.conn.Abort(errors.New("gone"))
	if s.open != 0 || d.conn.Await(func() {}) {
		t.Error("the archive of a client that disconnected is open")
	}
}

func TestAppendDisposition(t *testing.T) {
	for name, want := range map[string]string{
		"a.zip":                `attachment; filename="a.zip"; filename*=UTF-8''a.zip`,
		"Fo\"to%\\s é\x01.tar": `attachment; filename="Fo_to__s __.tar"; filename*=UTF-8''Fo%22to%25%5Cs%20%C3%A9%01.tar`,
		"\xff\r\nX: y":         `attachment; filename="___X: y"; filename*=UTF-8''%EF%BF%BD%0D%0AX%3A%20y`,
	} {
		if got := string(appendDisposition(nil, name)); got != "Content-Disposition: "+want+"\r\n" {
			t.Errorf("%q: %s", name, got)
		}
	}
}
