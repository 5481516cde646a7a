package observe

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestQuietWithoutVerbose expects no output from a server without -v, whatever its clients do.
func TestQuietWithoutVerbose(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front", "sub/index.html": "sub"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		s := harness.ServeSilently(t, harness.Plan{Out: out, Args: []string{"--base", base, "--model", model}})
		for _, text := range completedRequests() {
			// Only the output matters here, not the responses.
			if c := s.Dial(); c.Send(text) == nil {
				_, _ = c.Reply("GET")
				c.Close()
			}
		}
		disconnectEarly(s)
		d := s.Begin("/big.bin", 64<<10)
		s.Interrupt()
		s.AwaitRefusal()
		s.MustComplete(d)
		s.MustExit(5 * time.Second)
		if _, err := out.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		printed, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		if len(printed) > 0 || s.Log.String() != "" {
			t.Errorf("standard output %q, standard error %q: want nothing", printed, s.Log)
		}
	})
}

// completedRequests returns requests that get a response, of any status. Each ends its connection, so that the
// serial model continues.
func completedRequests() []string {
	final := "Connection: close"
	return []string{
		harness.Request("GET", "/", final), harness.Request("HEAD", "/", final), harness.Request("GET", "/sub", final),
		harness.Request("GET", "/missing", final), harness.Request("POST", "/", final, "Content-Length: 0"),
		harness.Request("BREW", "/", final), harness.Request("GET", "/../../etc/passwd", final), harness.Request("GET", "/%00", final),
		harness.Request("GET", "/"+strings.Repeat("x", 9<<10), final),
		harness.Request("GET", "/", final, "X: "+strings.Repeat("x", 17<<10)),
		"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET /\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nHost: bare\n\n", "\x00\x00\x00\x00\r\n\r\n",
	}
}

// disconnectEarly opens connections that end without waiting for a response.
func disconnectEarly(s *harness.Server) {
	s.T.Helper()
	s.Dial().Close()
	for _, text := range []string{"GET / HT", harness.Request("GET", "/big.bin"), harness.Request("GET", "/big.bin") + harness.Request("GET", "/")} {
		gone := s.Dial()
		if err := gone.Send(text); err != nil {
			s.T.Error(err)
		}
		gone.Close() // some with unread data, which resets the connection
	}
	reset := s.Begin("/big.bin", 64<<10)
	if err := reset.Take(1 << 20); err != nil {
		s.T.Error(err)
	}
	reset.Close()
	s.MustServe("/", "front")
}
