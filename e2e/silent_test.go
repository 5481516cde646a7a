package e2e

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSilence expects not one byte from a session in which clients do
// whatever clients do, good and bad.
func TestSilence(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front", "sub/index.html": "sub"})
	sparse(t, base+"/big.bin", 256<<20)
	each(t, models(), func(t *testing.T, model string) {
		out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		s := serveSilently(t, plan{out: out, args: []string{"--base", base, "--model", model}})
		for _, text := range conversation() {
			// Whether and what the server answers is not the point here.
			if c := s.dial(); c.send(text) == nil {
				_, _ = c.reply("GET")
				c.Close()
			}
		}
		s.rudeness()
		d := s.begin("/big.bin", 64<<10)
		s.interrupt()
		s.awaitRefusal()
		s.mustComplete(d)
		if code := s.wait(5 * time.Second); code != 0 {
			t.Errorf("exit status %d, want 0", code)
		}
		if _, err := out.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		printed, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		if len(printed) > 0 || s.log.String() != "" {
			t.Errorf("standard output %q, standard error %q: want nothing", printed, s.log)
		}
	})
}

// conversation is what gets an answer, of one kind or another. Each ends the
// connection, so that the serial model is not held up.
func conversation() []string {
	final := "Connection: close"
	return []string{
		request("GET", "/", final), request("HEAD", "/", final), request("GET", "/sub", final),
		request("GET", "/missing", final), request("POST", "/", final, "Content-Length: 0"),
		request("BREW", "/", final), request("GET", "/../../etc/passwd", final), request("GET", "/%00", final),
		request("GET", "/"+strings.Repeat("x", 9<<10), final),
		request("GET", "/", final, "X: "+strings.Repeat("x", 17<<10)),
		"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET /\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nHost: bare\n\n", "\x00\x00\x00\x00\r\n\r\n",
	}
}

// rudeness is what clients do that do not wait for an answer.
func (s *server) rudeness() {
	s.t.Helper()
	s.dial().Close()
	for _, text := range []string{"GET / HT", request("GET", "/big.bin"), request("GET", "/big.bin") + request("GET", "/")} {
		gone := s.dial()
		if err := gone.send(text); err != nil {
			s.t.Error(err)
		}
		gone.Close() // with or without unread data, so also by a reset
	}
	reset := s.begin("/big.bin", 64<<10)
	if err := reset.take(1 << 20); err != nil {
		s.t.Error(err)
	}
	reset.Close()
	s.mustServe("/", "front")
}
