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

// TestETagContent downloads one half of a file from each of two servers, whose files have the same
// content and different times, and compares the digests with openssl's.
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
				t.Errorf("%s: the servers have different entity tags, %s and %s", path, other, tag)
			}
			tags[path] = tag
		}
	}
	if tags["/text.txt"] == tags["br:/text.txt"] {
		t.Error("a compressed copy has the entity tag of its file")
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
		t.Errorf("the assembled file has %d bytes, error %v; want the %d bytes of the original", len(got), err, len(film))
	}
	curl(nodes[1], "200", "--http2-prior-knowledge")
	curl(nodes[0], "206", "--http2-prior-knowledge", "-r", "5-6")

	out, err := exec.Command(harness.Binary("master"), "explain", "--base", filepath.Dir(part), "--etag", "content", "--cache-dir", filepath.Join(harness.OpenDir(t), "cache"), "/film.bin").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "no ETag yet: it is made from the content") {
		t.Errorf("explain: error %v, output %s", err, out)
	}
}

// TestETagWithoutCompress makes entity tags of large files in the background, without compressing any.
func TestETagWithoutCompress(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"film.bin": string(harness.Noise("film", 100<<10))})
	s := harness.Serve(t, base, "--etag", "content", "--file-cache", "0", "--cache-dir", filepath.Join(harness.OpenDir(t), "cache"))
	awaitTag(t, s, "/film.bin")
}

// awaitTag requests a path, written as coding:path for a coding, until it has an entity tag, and
// compares the digest with openssl's.
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
	harness.Await(t, 30*time.Second, "an entity tag of "+path, func() bool {
		harness.RaisePriority(s.PID())
		r = ask()
		tag = r.Header.Get("ETag")
		if tag == "" && r.Header.Get("Repr-Digest") != "" {
			t.Errorf("%s: Repr-Digest without ETag: %v", path, r.Header)
		}
		return tag != "" && (r.Header.Get("Content-Encoding") != "") == coded
	})
	if want := "sha-256=:" + opensslDigest(t, r.Body) + ":"; r.Header.Get("Repr-Digest") != want {
		t.Errorf("%s: %v, want Repr-Digest %s", path, r.Header, want)
	}
	if r := ask("If-None-Match: " + tag); r.Status != 304 {
		t.Errorf("%s: %d for If-None-Match with its own entity tag, want 304", path, r.Status)
	}
	return tag
}

// opensslDigest returns openssl's SHA-256 digest of a content, in base64.
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
