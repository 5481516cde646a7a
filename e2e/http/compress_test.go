package http

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"phalanx/e2e/harness"
)

// TestCompress runs the compress command on a site, kills it halfway and runs it again, and requests a
// file from a server in each coding.
func TestCompress(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("What is said a thousand times compresses well. ", 2000)
	files := map[string]string{"index.html": text, "small.txt": "small", "photo.png": text}
	for i := range 20 {
		files["assets/"+string(rune('a'+i))+".js"] = text[i:]
	}
	base := harness.Tree(t, files)
	for _, file := range harness.FilesOf(t, base) {
		harness.Aged(t, filepath.Join(base, file))
	}
	killed := exec.Command(harness.Binary("master"), "compress", base)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 10*time.Second, "the first copies", func() bool { return len(harness.FilesOf(t, base)) > len(files)+4 })
	_ = killed.Process.Kill()
	_ = killed.Wait() // it was killed
	for _, want := range []string{" made of 21 files", "0 copies made of 21 files; 63 up to date"} {
		out, err := exec.Command(harness.Binary("master"), "compress", base).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || bytes.Count(out, []byte("\n")) != 1 {
			t.Fatalf("%v: %q, want %q", err, out, want)
		}
	}
	if all := harness.FilesOf(t, base); len(all) != len(files)+63+1 {
		t.Errorf("%d files: %q", len(all), all)
	}
	s := harness.Serve(t, base, "--dotfiles")
	for _, coding := range []string{"br", "zstd", "gzip"} {
		r := s.MustAsk(s.Dial(), harness.Request("GET", "/assets/c.js", "Accept-Encoding: "+coding, "Connection: close"))
		if r.Status != 200 || r.Header.Get("Content-Encoding") != coding || decoded(t, coding, r.Body) != files["assets/c.js"] {
			t.Errorf("%s: %d %v, want 200 with the file in this coding", coding, r.Status, r.Header)
		}
	}
	if r := s.MustGet("/.phalanx-compressed"); r.Status != 404 {
		t.Errorf("/.phalanx-compressed: status %d, want 404", r.Status)
	}
}

// decoded returns a body without its content coding.
func decoded(t *testing.T, coding string, body []byte) string {
	t.Helper()
	var from io.Reader = bytes.NewReader(body)
	var err error
	switch coding {
	case "br":
		from = brotli.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from)
	case "gzip":
		from, err = gzip.NewReader(from)
	}
	if err == nil {
		body, err = io.ReadAll(from)
	}
	if err != nil {
		t.Errorf("%s: %v", coding, err)
	}
	return string(body)
}

// TestCompressRefuses reports each kind of failure in one line.
func TestCompressRefuses(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": strings.Repeat("Hello. ", 1000)})
	if err := os.Chmod(base, 0o555); err != nil {
		t.Fatal(err)
	}
	harness.Attempt(t, harness.Plan{Nobody: true, Args: []string{"compress", base}}).
		Rejects(t, 1, "compress: open .phalanx-compressed: permission denied; 0 copies made; run it as the owner of the directory, and run it again")
	harness.Attempt(t, harness.Plan{Args: []string{"compress", filepath.Join(base, "no")}}).Rejects(t, 78, "no such directory")
	harness.Attempt(t, harness.Plan{Args: []string{"compress", base, "--codings", "deflate"}}).Rejects(t, 64, "must be a list of br, zstd and gzip")
}
