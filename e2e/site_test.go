package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryFile(t *testing.T) {
	t.Parallel()
	trees := []struct{ name, dir string }{{"site", siteDir(t)}, {"odd", oddTree(t)}}
	for _, tree := range trees {
		for _, model := range models() {
			for _, recv := range []string{"1", "100", "65536"} {
				t.Run(tree.name+"/"+model+"/recv="+recv, func(t *testing.T) {
					t.Parallel()
					s := serve(t, tree.dir, "--model", model, "--recv", recv)
					v := &visitor{server: s, persistent: model != "serial"}
					for _, file := range filesOf(t, tree.dir) {
						v.check(tree.dir, file)
					}
				})
			}
		}
	}
}

// visitor fetches files one after the other, over one connection as long as
// the server lets it.
type visitor struct {
	*server
	conn       *client
	persistent bool
}

// fetch asks for a target and watches over the connection.
func (v *visitor) fetch(method, target string) *reply {
	v.t.Helper()
	if v.conn == nil {
		v.conn = v.dial()
	}
	if err := v.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		v.t.Fatal(err)
	}
	r := v.mustAsk(v.conn, request(method, target))
	if r.closes() == v.persistent {
		v.t.Errorf("%s %s: Connection: %q, but persistent is %v", method, target, r.header.Get("Connection"), v.persistent)
	}
	if r.closes() {
		v.mustEnd(v.conn, 2*time.Second, method+" "+target)
		v.conn = nil
	}
	return r
}

// check compares every way to ask for a file with the file itself.
func (v *visitor) check(dir, file string) {
	v.t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		v.t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, file))
	if err != nil {
		v.t.Fatal(err)
	}
	target := (&url.URL{Path: "/" + file}).EscapedPath()
	whole := v.fetch("GET", target)
	if whole.status != 200 || !bytes.Equal(whole.body, data) {
		v.t.Errorf("GET %s: %d with %d bytes, want 200 with %d", target, whole.status, len(whole.body), len(data))
		return
	}
	v.checkHeader(file, whole, info)

	bare := v.fetch("HEAD", target)
	if bare.status != 200 || len(bare.body) != 0 || !maps.EqualFunc(lasting(bare), lasting(whole), slices.Equal) {
		v.t.Errorf("HEAD %s: %d %v, GET has %v", target, bare.status, lasting(bare), lasting(whole))
	}
	if escaped := v.fetch("GET", escapeAll(file)); !bytes.Equal(escaped.body, data) {
		v.t.Errorf("GET %s (%s): %d with %d bytes", escapeAll(file), file, escaped.status, len(escaped.body))
	}
	if path.Base(file) == "index.html" {
		parent := strings.TrimSuffix(target, "index.html")
		if r := v.fetch("GET", parent+"?a=b/../c"); r.status != 200 || !bytes.Equal(r.body, data) {
			v.t.Errorf("GET %s: %d, want its index.html", parent, r.status)
		}
	}
}

// checkHeader looks at the fields that every file must have.
func (v *visitor) checkHeader(file string, r *reply, info os.FileInfo) {
	v.t.Helper()
	date := moment(v.t, r, "Date")
	if off := time.Since(date); off < -time.Second || off > 5*time.Second {
		v.t.Errorf("%s: Date is %v off", file, off)
	}
	if ahead := moment(v.t, r, "Expires").Sub(date); ahead != 12*time.Hour {
		v.t.Errorf("%s: Expires is %v ahead of Date, want 12h", file, ahead)
	}
	if modified := moment(v.t, r, "Last-Modified"); !modified.Equal(info.ModTime().Truncate(time.Second)) {
		v.t.Errorf("%s: Last-Modified %v, want %v", file, modified, info.ModTime())
	}
	if length := r.header.Get("Content-Length"); length != fmt.Sprint(info.Size()) {
		v.t.Errorf("%s: Content-Length %q, want %d", file, length, info.Size())
	}
	if name := r.header.Get("Server"); !strings.HasPrefix(name, "phalanx/") {
		v.t.Errorf("%s: Server %q", file, name)
	}
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || !strings.Contains(kind, "/") {
		v.t.Errorf("%s: Content-Type %q: %v", file, r.header.Get("Content-Type"), err)
	}
	for field, values := range r.header {
		if len(values) != 1 {
			v.t.Errorf("%s: %s comes %d times", file, field, len(values))
		}
	}
}

// moment reads a field that holds a time, in the one form that may be sent.
func moment(t *testing.T, r *reply, field string) time.Time {
	t.Helper()
	at, err := time.Parse(http.TimeFormat, r.header.Get(field))
	if err != nil {
		t.Errorf("%s %q: %v", field, r.header.Get(field), err)
	}
	return at
}

// lasting is the header without what changes from second to second.
func lasting(r *reply) http.Header {
	h := r.header.Clone()
	h.Del("Date")
	h.Del("X-Request-Id")
	h.Del("Expires")
	return h
}

// escapeAll writes a path with every byte but the slashes as %xx.
func escapeAll(file string) string {
	var b strings.Builder
	for _, c := range []byte("/" + file) {
		if c == '/' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// TestHeadIsBare reads a response to HEAD to the end of its connection: a
// client library would not show a body that must not be there.
func TestHeadIsBare(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"page.html": "<p>page</p>"})
	each(t, models(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model)
		for _, path := range []string{"/page.html", "/missing.html"} {
			c := s.dial()
			r := s.mustAsk(c, request("HEAD", path, "Connection: close"))
			if r.header.Get("Content-Length") == "" {
				t.Errorf("HEAD %s has no Content-Length", path)
			}
			s.mustEnd(c, 2*time.Second, "HEAD "+path)
		}
	})
}

func TestContentType(t *testing.T) {
	t.Parallel()
	types := map[string]string{
		"a.html": "text/html; charset=utf-8", "a.htm": "text/html; charset=utf-8",
		"a.css": "text/css; charset=utf-8", "a.txt": "text/plain; charset=utf-8",
		"a.js": "text/javascript; charset=utf-8", "a.mjs": "text/javascript; charset=utf-8",
		"a.json": "application/json", "a.webmanifest": "application/manifest+json", "a.wasm": "application/wasm",
		"a.png": "image/png", "a.jpg": "image/jpeg", "a.jpeg": "image/jpeg", "a.gif": "image/gif",
		"a.svg": "image/svg+xml", "a.webp": "image/webp", "a.avif": "image/avif",
		"a.woff": "font/woff", "a.woff2": "font/woff2", "a.ttf": "font/ttf", "a.otf": "font/otf",
		"a.mp3": "audio/mpeg", "a.mp4": "video/mp4", "a.webm": "video/webm", "a.pdf": "application/pdf",
		"A.HTML": "text/html; charset=utf-8", "noextension": "application/octet-stream",
	}
	files := map[string]string{}
	for name := range types {
		files[name] = name
	}
	s := serve(t, tree(t, files))
	for name, want := range types {
		got := s.mustGet("/" + name).header.Get("Content-Type")
		// A charset behind a type that needs none does no harm.
		if !strings.EqualFold(got, want) && !strings.HasPrefix(got, want+";") {
			t.Errorf("%s has the type %q, want %q", name, got, want)
		}
	}
}

// TestEveryAddress starts the master as a newcomer does, without --bind.
func TestEveryAddress(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	s := serveAs(t, plan{args: []string{"--base", base, "--port", "0", "-v", "--log-format", "json"}})
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		answer, err := http.Get(fmt.Sprintf("http://%s:%d/", host, s.port))
		if err != nil {
			t.Error(err)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("%s: %s", host, answer.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
