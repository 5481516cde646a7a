package clients

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// curlTree returns the document root for curl, and the content of data.bin.
func curlTree(t *testing.T) (base string, data []byte) {
	t.Helper()
	data = harness.Noise("curl", 3<<20+123)
	base = harness.Tree(t, map[string]string{
		"site/index.html": "front", "site/data.bin": string(data), "site/a b.txt": "space", "secret.txt": "SECRET",
		"site/app.js": "let identity;", "site/app.js.gz": zipped(t, "let gzip;"),
		"site/zst.js": "let identity;", "site/zst.js.zst": stored(t, "let zstd;"),
		"site/br.js": "let identity;", "site/br.js.br": storedBrotli(t, "let brotli;"),
	})
	for _, name := range harness.FilesOf(t, base) {
		harness.Aged(t, filepath.Join(base, name))
	}
	return filepath.Join(base, "site"), data
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// stored returns a zstd frame (RFC 8878 §3.1.1) with one raw block: a single segment whose size has one byte.
func stored(t *testing.T, text string) string {
	t.Helper()
	if len(text) > 255 {
		t.Fatal("too long for a size of one byte")
	}
	n := byte(len(text))
	return "\x28\xb5\x2f\xfd\x20" + string([]byte{n, n<<3 | 1, n >> 5, 0}) + text
}

// storedBrotli returns a brotli stream (RFC 7932 §9) with one uncompressed meta-block, that is a window of 16
// bits, no last block, a length of four nibbles and the uncompressed bit, and an empty last block.
func storedBrotli(t *testing.T, text string) string {
	t.Helper()
	if len(text) == 0 || len(text) > 1<<16 {
		t.Fatal("too long for four nibbles")
	}
	bits := uint32(len(text)-1)<<4 | 1<<20
	return string([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16)}) + text + "\x03"
}

// TestCurl resumes, requests ranges and conditions, traverses, uploads, decodes and reuses connections with curl.
func TestCurl(t *testing.T) {
	t.Parallel()
	base, data := curlTree(t)
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		curl := newProgram(t, "curl")
		t.Run("resume", func(t *testing.T) { curlResumes(t, s, curl, data) })
		t.Run("ranges", func(t *testing.T) { curlRanges(t, s, curl, data) })
		t.Run("conditions", func(t *testing.T) { curlRevalidates(t, s, curl) })
		t.Run("traversal", func(t *testing.T) { curlTraverses(t, s, curl) })
		t.Run("bodies", func(t *testing.T) { curlUploads(t, s, curl) })
		t.Run("codings", func(t *testing.T) { curlDecodes(t, s, curl) })
		t.Run("keep-alive", func(t *testing.T) { curlKeepsAlive(t, s, curl, model != "serial") })
	})
}

// curlResumes completes a partial download, resumes a complete one, and resumes another version of a file.
func curlResumes(t *testing.T, s *harness.Server, curl *program, data []byte) {
	harness.Write(t, curl.at("data.bin"), data[:1<<20])
	curl.run("-sS", "-C", "-", "-o", "data.bin", s.URL("/data.bin"))
	curl.holds("data.bin", data)
	if got := statuses(s, "/data.bin", 1); !slices.Equal(got, []int{206}) {
		t.Errorf("statuses of a resumed download: %v, want 206", got)
	}
	// 416: there is nothing left to send.
	printed, code := curl.try("-sS", "-C", "-", "-o", "data.bin", s.URL("/data.bin"))
	if code != 0 && !strings.Contains(printed, "416") {
		t.Errorf("resuming a complete file: exit status %d, %s", code, printed)
	}
	curl.holds("data.bin", data)
	// If-Range with another entity tag: the server must not send the rest of another version.
	harness.Write(t, curl.at("other.bin"), data[:1000])
	curl.run("-sS", "-C", "-", "-H", `If-Range: "other"`, "-o", "whole.bin", s.URL("/data.bin"))
	curl.holds("whole.bin", data)
}

func curlRanges(t *testing.T, s *harness.Server, curl *program, data []byte) {
	n := len(data)
	for _, c := range []struct {
		spec string
		want []byte
	}{
		{"0-0", data[:1]}, {"100-199", data[100:200]}, {"-50", data[n-50:]}, {fmt.Sprintf("%d-", n-3), data[n-3:]},
		{fmt.Sprintf("5-%d", 2*n), data[5:]}, {"0-9,5-19", data[:20]},
	} {
		curl.run("-sS", "-f", "-r", c.spec, "-o", "part", s.URL("/data.bin"))
		curl.holds("part", c.want)
	}
	printed := curl.run("-sS", "-f", "-i", "-r", "0-9,100-109", s.URL("/data.bin"))
	if strings.Count(printed, "\r\nContent-Range: bytes ") != 2 || !strings.Contains(printed, "multipart/byteranges") {
		t.Errorf("two ranges: %.300q, want multipart/byteranges with two parts", printed)
	}
	if printed, _ := curl.try("-sS", "-i", "-r", fmt.Sprintf("%d-", n), s.URL("/data.bin")); !strings.HasPrefix(printed, "HTTP/1.1 416 ") {
		t.Errorf("a range beyond the end: %.100q, want 416", printed)
	}
}

// curlRevalidates requests a file only if it has changed.
func curlRevalidates(t *testing.T, s *harness.Server, curl *program) {
	want := func(what, want string, args ...string) {
		t.Helper()
		args = slices.Concat([]string{"-sS", "-R", "-w", "%{http_code}", "-o"}, args, []string{s.URL("/index.html")})
		if got := curl.run(args...); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		curl.holds("page", []byte("front"))
	}
	want("-R", "200", "page")
	want("-z with the same time", "304", "page", "-z", "page")
	want("-z with an earlier date", "200", "page", "-z", "Mon, 01 Jan 2001 00:00:00 GMT")
	want("unmodified since", "412", "refused", "-H", "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT")
	want("--etag-save", "200", "page", "--etag-save", "etag")
	want("--etag-compare", "304", "page", "--etag-compare", "etag")
	harness.Write(t, curl.at("etag"), []byte(`"other"`))
	want("--etag-compare with another", "200", "page", "--etag-compare", "etag")
}

// curlTraverses sends paths that lead out of the document root as they are.
func curlTraverses(t *testing.T, s *harness.Server, curl *program) {
	for _, path := range []string{"/../secret.txt", "/%2e%2e/secret.txt", "/./../secret.txt", "/..%2fsecret.txt", "/x/../../secret.txt", "/../../../../etc/passwd"} {
		printed := curl.run("-sS", "--path-as-is", "-w", "\n%{http_code}", s.URL(path))
		if strings.Contains(printed, "SECRET") || strings.Contains(printed, "root:") || !strings.HasSuffix(printed, "\n404") {
			t.Errorf("%s: %q, want 404", path, printed)
		}
	}
	if printed := curl.run("-sS", s.URL("/a%20b.txt")); printed != "space" {
		t.Errorf("/a%%20b.txt: %q, want \"space\"", printed)
	}
}

// curlUploads sends request bodies: they are discarded with methods that are served, and refused otherwise.
func curlUploads(t *testing.T, s *harness.Server, curl *program) {
	harness.Write(t, curl.at("small"), harness.Noise("small", 300_000))
	harness.Write(t, curl.at("large"), harness.Noise("large", 2<<20))
	code := func(args ...string) (printed, code string) {
		t.Helper()
		all, _ := curl.try(append([]string{"-sS", "-v", "--expect100-timeout", "30", "-w", "\n%{http_code}", "-o", "out"}, append(args, s.URL("/index.html"))...)...)
		return all, all[strings.LastIndexByte(all, '\n')+1:]
	}
	const expect = "Expect: 100-continue"
	for _, c := range []struct {
		what, want string
		continues  bool
		args       []string
	}{
		{"a body after 100 Continue", "200", true, []string{"-X", "GET", "-H", expect, "--data-binary", "@small"}},
		{"chunks after 100 Continue", "200", true, []string{"-X", "GET", "-H", expect, "-H", "Transfer-Encoding: chunked", "--data-binary", "@small"}},
		{"chunks", "200", false, []string{"-X", "GET", "-H", "Expect:", "-H", "Transfer-Encoding: chunked", "--data-binary", "@small"}},
		{"a body that is announced as too long", "413", false, []string{"-X", "GET", "-H", expect, "--data-binary", "@large"}},
		{"chunks that become too long", "413", false, []string{"-X", "GET", "-H", "Expect:", "-H", "Transfer-Encoding: chunked", "--data-binary", "@large"}},
		{"PUT", "405", false, []string{"-T", "small"}},
		{"PUT in chunks", "405", false, []string{"-T", "large", "-H", "Transfer-Encoding: chunked"}},
		{"POST", "405", false, []string{"--data-binary", "@large", "-H", expect}},
	} {
		printed, got := code(c.args...)
		if got != c.want {
			t.Errorf("%s: %s, want %s\n%.2000s", c.what, got, c.want, printed)
		}
		if strings.Contains(printed, "< HTTP/1.1 100 ") != c.continues {
			t.Errorf("%s: want 100 Continue: %v\n%.2000s", c.what, c.continues, printed)
		}
	}
}

// curlDecodes requests precompressed files, which curl decodes.
func curlDecodes(t *testing.T, s *harness.Server, curl *program) {
	for name, want := range map[string]string{"/app.js": "let gzip;", "/br.js": "let brotli;", "/zst.js": "let zstd;"} {
		version := curl.run("--version")
		if name == "/br.js" && !strings.Contains(version, "brotli") || name == "/zst.js" && !strings.Contains(version, "zstd") {
			t.Logf("this curl cannot decode %s", name)
			continue
		}
		if got := curl.run("-sS", "--compressed", s.URL(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := curl.run("-sS", s.URL(name)); got != "let identity;" {
			t.Errorf("%s without --compressed: %q, want \"let identity;\"", name, got)
		}
	}
}

// curlKeepsAlive requests several URLs with one command and counts the connections.
func curlKeepsAlive(t *testing.T, s *harness.Server, curl *program, kept bool) {
	args := []string{"-sS", "-w", "%{num_connects}\n"}
	for i := range 5 {
		args = append(args, "-o", fmt.Sprint("file", i), s.URL("/a%20b.txt?"+strconv.Itoa(i)))
	}
	printed := curl.run(args...)
	for i := range 5 {
		curl.holds(fmt.Sprint("file", i), []byte("space"))
	}
	want := "1\n1\n1\n1\n1\n"
	if kept {
		want = "1\n0\n0\n0\n0\n"
	}
	if printed != want {
		t.Errorf("connections opened by each of 5 requests: %q, want %q", printed, want)
	}
}
