package http

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestETagContent downloads a file half from one server and half from another, which have the
// same files with different times, and compares digests with those of openssl.
func TestETagContent(t *testing.T) {
	t.Parallel()
	film := harness.Noise("film", 3<<20+1)
	text := strings.Repeat("What is said a thousand times compresses well. ", 2000)
	var nodes []*harness.Server
	for i, model := range []string{"process", "goroutine"} {
		base := harness.Tree(t, map[string]string{"film.bin": string(film), "small.txt": "small", "text.txt": text})
		for _, name := range harness.FilesOf(t, base) {
			at := harness.Modified().Add(time.Duration(i) * time.Hour)
			if err := os.Chtimes(filepath.Join(base, name), at, at); err != nil {
				t.Fatal(err)
			}
		}
		nodes = append(nodes, harness.Serve(t, base, "--model", model, "--file-cache", "0", "--etag", "content", "--compress", "--cache-dir", filepath.Join(harness.OpenDir(t), "cache")))
	}
	tags := make(map[string]string)
	for _, s := range nodes {
		for _, path := range []string{"/film.bin", "/small.txt", "/text.txt", "br:/text.txt"} {
			tag := awaitTag(t, s, path)
			if other := tags[path]; other != "" && other != tag {
				t.Errorf("%s: tags %s and %s", path, other, tag)
			}
			tags[path] = tag
		}
	}
	if tags["/text.txt"] == tags["br:/text.txt"] {
		t.Error("a copy has the tag of its file")
	}
	part := filepath.Join(t.TempDir(), "film.bin")
	curl := func(s *harness.Server, want string, more ...string) {
		t.Helper()
		args := append([]string{"-sS", "-o", part, "-w", "%{http_code} %header{repr-digest}", "-H", "Want-Repr-Digest: sha-256=1"}, more...)
		out, err := exec.Command("curl", append(args, s.URL("/film.bin"))...).CombinedOutput()
		if want += " sha-256=:" + opensslDigest(t, film) + ":"; err != nil || string(out) != want {
			t.Fatalf("curl: %v: %q, want %q", err, out, want)
		}
	}
	curl(nodes[0], "206", "-r", "0-999999")
	curl(nodes[1], "206", "-C", "-", "-H", "If-Range: "+tags["/film.bin"])
	got, err := os.ReadFile(part)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(film) {
		t.Errorf("%d bytes of %d, %v", len(got), len(film), err)
	}
	curl(nodes[1], "200", "--http2-prior-knowledge")
	curl(nodes[0], "206", "--http2-prior-knowledge", "-r", "5-6")

	out, err := exec.Command(harness.Binary("master"), "explain", "--base", filepath.Dir(part), "--etag", "content", "--cache-dir", filepath.Join(harness.OpenDir(t), "cache"), "/film.bin").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "no ETag yet: it is made of the content") {
		t.Errorf("%v: %s", err, out)
	}
}

// awaitTag asks for a path, perhaps in a coding, until it has a tag, and holds its digest to
// that of openssl.
func awaitTag(t *testing.T, s *harness.Server, path string) (tag string) {
	t.Helper()
	coding, file, coded := strings.Cut(path, ":")
	if !coded {
		coding, file = "identity", path
	}
	ask := func(fields ...string) *harness.Reply {
		fields = append(fields, "Accept-Encoding: "+coding, "Connection: close", "Want-Repr-Digest: sha-256=10, sha-512=3")
		return s.MustAsk(s.Dial(), harness.Request("GET", file, fields...))
	}
	var r *harness.Reply
	harness.Await(t, 30*time.Second, "a tag of "+path, func() bool {
		harness.Hasten(s.PID())
		r = ask()
		tag = r.Header.Get("ETag")
		if tag == "" && r.Header.Get("Repr-Digest") != "" {
			t.Errorf("%s: a digest without a tag: %v", path, r.Header)
		}
		return tag != "" && (r.Header.Get("Content-Encoding") != "") == coded
	})
	if want := "sha-256=:" + opensslDigest(t, r.Body) + ":"; r.Header.Get("Repr-Digest") != want {
		t.Errorf("%s: %v, want %s", path, r.Header, want)
	}
	if r := ask("If-None-Match: " + tag); r.Status != 304 {
		t.Errorf("%s: %d for its own tag", path, r.Status)
	}
	return tag
}

// opensslDigest is the digest of a content that openssl makes.
func opensslDigest(t *testing.T, content []byte) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", "openssl dgst -sha256 -binary | openssl base64 -A")
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
