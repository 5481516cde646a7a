package http

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

	"phalanx/e2e/harness"
	"phalanx/internal/systest"
)

// oddTree returns a directory with file names and sizes that are known to cause bugs.
func oddTree(t *testing.T) string {
	t.Helper()
	dir := harness.OpenDir(t)
	for _, name := range harness.OddNames() {
		harness.Write(t, filepath.Join(dir, name), harness.Noise(name, 1000))
	}
	for _, size := range oddSizes() {
		name := fmt.Sprintf("size/%d.bin", size)
		harness.Write(t, filepath.Join(dir, name), harness.Noise(name, size))
	}
	// An old modification time, with a fraction of a second that Last-Modified cannot express.
	old := time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	harness.Write(t, filepath.Join(dir, "old.html"), []byte("<p>old</p>"))
	if err := os.Chtimes(filepath.Join(dir, "old.html"), old, old); err != nil {
		t.Fatal(err)
	}
	return dir
}

func oddSizes() []int {
	sizes := []int{0, 1, 2, 3<<20 + 1, 7 << 20}
	for shift := 12; shift <= 16; shift++ {
		sizes = append(sizes, 1<<shift-1, 1<<shift, 1<<shift+1)
	}
	return sizes
}

// TestEveryFile fetches every file of two document roots in several ways, in each model and with
// several read sizes, and compares the responses with the files.
func TestEveryFile(t *testing.T) {
	t.Parallel()
	trees := []struct{ name, dir string }{{"site", harness.SiteDir(t)}, {"odd", oddTree(t)}}
	for _, tree := range trees {
		for _, model := range harness.Models() {
			for _, recv := range []string{"1", "100", "65536"} {
				t.Run(tree.name+"/"+model+"/recv="+recv, func(t *testing.T) {
					t.Parallel()
					s := harness.Serve(t, tree.dir, "--model", model, "--recv", recv)
					v := &fetcher{Server: s, persistent: model != "serial"}
					for _, file := range harness.FilesOf(t, tree.dir) {
						v.check(tree.dir, file)
					}
				})
			}
		}
	}
}

// fetcher fetches files one after the other, over one connection for as long as the server keeps it
// open.
type fetcher struct {
	*harness.Server
	conn       *harness.Client
	persistent bool
}

// fetch makes a request and checks that the connection persists as it should.
func (v *fetcher) fetch(method, target string) *harness.Reply {
	v.T.Helper()
	if v.conn == nil {
		v.conn = v.Dial()
	}
	if err := v.conn.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
		v.T.Fatal(err)
	}
	r := v.MustAsk(v.conn, harness.Request(method, target))
	if r.Closes() == v.persistent {
		v.T.Errorf("%s %s: Connection: %q, want persistent: %v", method, target, r.Header.Get("Connection"), v.persistent)
	}
	if r.Closes() {
		v.MustEnd(v.conn, 2*time.Second, method+" "+target)
		v.conn = nil
	}
	return r
}

// check compares the responses to all kinds of requests for a file with the file itself.
func (v *fetcher) check(dir, file string) {
	v.T.Helper()
	data := harness.Read(v.T, filepath.Join(dir, file))
	info, err := os.Stat(filepath.Join(dir, file))
	if err != nil {
		v.T.Fatal(err)
	}
	target := (&url.URL{Path: "/" + file}).EscapedPath()
	whole := v.fetch("GET", target)
	if whole.Status != 200 || !bytes.Equal(whole.Body, data) {
		v.T.Errorf("GET %s: %d with %d bytes, want 200 with %d", target, whole.Status, len(whole.Body), len(data))
		return
	}
	v.checkHeader(file, whole, info)

	bare := v.fetch("HEAD", target)
	if bare.Status != 200 || len(bare.Body) != 0 || !maps.EqualFunc(stableHeader(bare), stableHeader(whole), slices.Equal) {
		v.T.Errorf("HEAD %s: %d %v, want the header of GET: %v", target, bare.Status, stableHeader(bare), stableHeader(whole))
	}
	if escaped := v.fetch("GET", escapeAll(file)); !bytes.Equal(escaped.Body, data) {
		v.T.Errorf("GET %s (%s): %d with %d bytes, want the %d of the file", escapeAll(file), file, escaped.Status, len(escaped.Body), len(data))
	}
	if path.Base(file) == "index.html" {
		parent := strings.TrimSuffix(target, "index.html")
		if r := v.fetch("GET", parent+"?a=b/../c"); r.Status != 200 || !bytes.Equal(r.Body, data) {
			v.T.Errorf("GET %s: %d, want its index.html", parent, r.Status)
		}
	}
}

// checkHeader checks the header fields that every file's response must have.
func (v *fetcher) checkHeader(file string, r *harness.Reply, info os.FileInfo) {
	v.T.Helper()
	date := harness.Moment(v.T, r, "Date")
	if off := time.Since(date); off < -time.Second || off > harness.InTime(5*time.Second) {
		v.T.Errorf("%s: Date differs from the clock by %v", file, off)
	}
	if ahead := harness.Moment(v.T, r, "Expires").Sub(date); ahead != 12*time.Hour {
		v.T.Errorf("%s: Expires is %v after Date, want 12h", file, ahead)
	}
	if modified := harness.Moment(v.T, r, "Last-Modified"); !modified.Equal(info.ModTime().Truncate(time.Second)) {
		v.T.Errorf("%s: Last-Modified %v, want %v", file, modified, info.ModTime())
	}
	if length := r.Header.Get("Content-Length"); length != fmt.Sprint(info.Size()) {
		v.T.Errorf("%s: Content-Length %q, want %d", file, length, info.Size())
	}
	if name := r.Header.Get("Server"); !strings.HasPrefix(name, "phalanx/") {
		v.T.Errorf("%s: Server %q, want phalanx/...", file, name)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !strings.Contains(kind, "/") {
		v.T.Errorf("%s: invalid Content-Type %q: %v", file, r.Header.Get("Content-Type"), err)
	}
	for field, values := range r.Header {
		if len(values) != 1 {
			v.T.Errorf("%s: %d fields named %s, want 1", file, len(values), field)
		}
	}
}

// stableHeader returns the header without the fields that differ in every response.
func stableHeader(r *harness.Reply) http.Header {
	h := r.Header.Clone()
	h.Del("Date")
	h.Del("X-Request-Id")
	h.Del("Expires")
	return h
}

// escapeAll returns a path with every byte except slashes percent-encoded.
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

// TestListensOnEveryAddress starts the master without --bind and connects to IPv4 and IPv6 addresses.
func TestListensOnEveryAddress(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.ServeAs(t, harness.Plan{Args: []string{"--base", base, "--port", "0", "-v", "--log-format", "json"}})
	hosts := []string{"127.0.0.1", "localhost"}
	if systest.HasIPv6() {
		hosts = append(hosts, "[::1]")
	}
	for _, host := range hosts {
		answer, err := http.Get(fmt.Sprintf("http://%s:%d/", host, s.Port))
		if err != nil {
			t.Error(err)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("%s: %s, want 200", host, answer.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
