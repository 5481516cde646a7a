package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRequestLine checks every field of the one line that a request has.
func TestRequestLine(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front", "sub/index.html": "sub"})
	each(t, models(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model)
		workers := s.workers()
		cases := []struct {
			method, target string
			status, bytes  int // -1: whatever the reply's body has
		}{
			{"GET", "/", 200, 5}, {"HEAD", "/", 200, 0}, {"GET", "/missing?x=1", 404, -1}, {"HEAD", "/missing", 404, 0},
			{"GET", "/sub", 301, -1}, {"POST", "/", 405, -1}, {"BREW", "/", 501, -1},
		}
		for _, c := range cases {
			conn := s.dial()
			r := s.mustAsk(conn, request(c.method, c.target, "Connection: close"))
			e := s.awaitRequestOf(conn)
			if c.bytes < 0 {
				c.bytes = len(r.body)
			}
			if e.text("method") != c.method || e.text("path") != c.target || e.number("status") != c.status || e.number("bytes") != c.bytes {
				t.Errorf("%s %s answered with %d and %d bytes is logged as %v", c.method, c.target, r.status, len(r.body), e)
			}
			if c.status != r.status {
				t.Errorf("%s %s: %d, want %d", c.method, c.target, r.status, c.status)
			}
			if e.number("slot") < 0 || e.number("slot") >= len(workers) || !slices.Contains(workers, e.number("pid")) {
				t.Errorf("slot %v and pid %v, the workers are %v", e["slot"], e["pid"], workers)
			}
			if ms, ok := e["ms"].(float64); !ok || ms < 0 || ms > 5000 {
				t.Errorf("ms is %v", e["ms"])
			}
		}
		if n := len(s.awaitRequests(len(cases))); n != len(cases) {
			t.Errorf("%d lines for %d requests", n, len(cases))
		}
	})
}

// TestLogStaysWhole lets four workers log long lines at the same time into
// one pipe, and into one file.
func TestLogStaysWhole(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, []string{"pipe", "file"}, func(t *testing.T, kind string) {
		p := plan{args: append(verbosely(base), "--workers", "4")}
		var file *os.File
		if kind == "file" {
			var err error
			file, err = os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			p.err = file
		}
		s := launch(t, p)
		s.follow(file)
		const clients, requests = 40, 30 // no slot goes without, but once in 10^4 runs
		s.chatter(clients, requests)
		s.stop(5 * time.Second)
		s.reload(file)

		events, odd := s.log.all()
		for _, line := range odd {
			t.Errorf("not a line of JSON: %.200q", line)
		}
		seen := map[string]int{}
		slots := map[int]bool{}
		for _, e := range withMessage(events, "request") {
			name, _, _ := strings.Cut(e.text("path"), "?")
			seen[name]++
			slots[e.number("slot")] = true
		}
		for i := range clients {
			for j := range requests {
				if n := seen[fmt.Sprintf("/c%d/r%d", i, j)]; n != 1 {
					t.Errorf("request %d of client %d has %d lines", j, i, n)
				}
			}
		}
		if len(slots) != 4 {
			t.Errorf("the lines come from slots %v, want all four", slots)
		}
	})
}

// follow waits until the log, which may be a file, says where the port is.
func (s *server) follow(file *os.File) {
	s.t.Helper()
	if file != nil {
		await(s.t, 10*time.Second, "the serving line in the file", func() bool {
			text, err := os.ReadFile(file.Name())
			return err == nil && strings.Contains(string(text), `"serving"`)
		})
		s.reload(file)
	}
	s.awaitServing()
}

// reload reads a log that is a file anew.
func (s *server) reload(file *os.File) {
	s.t.Helper()
	if file == nil {
		return
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	s.log = newJournal()
	// A journal takes everything.
	_, _ = s.log.Write(text)
}

// chatter makes clients ask at the same time, each for paths of its own, of
// all lengths up to 7 KiB.
func (s *server) chatter(clients, requests int) {
	s.t.Helper()
	var all sync.WaitGroup
	errs := make(chan error, clients)
	for i := range clients {
		all.Go(func() {
			c, err := connect(s.port)
			for j := 0; err == nil && j < requests; j++ {
				long := strings.Repeat("long", (i*requests+j)*1750/(clients*requests))
				_, err = c.ask(request("GET", fmt.Sprintf("/c%d/r%d?%s", i, j, long)))
			}
			if err != nil {
				errs <- err
				return
			}
			c.Close()
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		s.t.Error(err)
	}
}

// TestForgery sends what would be lines of their own, or would move the
// cursor of whoever reads them.
func TestForgery(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	const forged = `{"level":"info","message":"request","path":"/forged"}`
	targets := []string{
		"/%0a" + forged, "/%0d%0a" + forged + "%0a", "/\"}" + forged, "/\\", "/\\n" + forged, "/%1b[2J", "/%00",
		"/\x1b[2J\x1b[31m", "/\x07\x08\x7f", "/\u2028" + forged, "/\u202e", "/\xff\xfe\xc3(", "/\r" + forged, "/\n" + forged, "/\x00" + forged,
	}
	for _, format := range []string{"json", "console"} {
		for _, level := range []string{"-v", "-vv", "-vvv"} {
			t.Run(format+level, func(t *testing.T) {
				t.Parallel()
				port := freePort(t)
				s := launch(t, plan{env: []string{"NO_COLOR=1"}, args: []string{
					"--base", base, "--bind", "127.0.0.1", "--port", itoa(port), "--workers", "1", level, "--log-format", format,
				}})
				s.port = port
				s.awaitAnswer()
				for _, target := range targets {
					for _, text := range []string{
						"GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
						"GET / HTTP/1.1\r\nHost: x\r\nX: " + target + "\r\nConnection: close\r\n\r\n",
						target + " / HTTP/1.1\r\n" + target + "\r\n\r\n",
					} {
						// Most of these get 400, and how is not the point.
						_, _ = exchange(port, text)
					}
				}
				s.stop(5 * time.Second)
				s.checkForgery(format)
			})
		}
	}
}

// checkForgery looks at the raw bytes of the log.
func (s *server) checkForgery(format string) {
	s.t.Helper()
	for _, line := range s.log.lines() {
		if strings.HasPrefix(line, "{") != (format == "json") {
			s.t.Errorf("a line that is not %s: %q", format, line)
		}
		for _, c := range line {
			if c < 0x20 || c == 0x7f || c == '\ufffd' || c == '\u2028' || c == '\u202e' {
				s.t.Errorf("the character %q in the line %q", c, line)
			}
		}
	}
	events, _ := s.log.all()
	for _, e := range events {
		if e.text("path") == "/forged" {
			s.t.Errorf("a request has written the line %v", e)
		}
	}
}

// TestLevels counts what each -v adds.
func TestLevels(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		var before int
		for _, level := range []string{"-v", "-vv", "-vvv"} {
			args := []string{"--base", base, "--bind", "127.0.0.1", "--port", "0", level, "--log-format", "json", "--model", model}
			s := serveAs(t, plan{args: append(args, "--recv", "7")})
			text := request("GET", "/?needle", "Connection: close", "X-Thread: haystack")
			if _, err := exchange(s.port, text); err != nil {
				t.Fatal(err)
			}
			s.awaitRequests(1)
			s.stop(5 * time.Second)
			events, odd := s.log.all()
			if len(odd) > 0 || len(events) <= before {
				t.Errorf("%s logs %d lines, the level below %d, and %q that are not JSON", level, len(events), before, odd)
			}
			before = len(events)
			if n := len(withMessage(events, "request")); n != 1 {
				t.Errorf("%s has %d lines for one request", level, n)
			}
			if shown := strings.Contains(s.log.String(), "haystack"); shown != (level != "-v") {
				t.Errorf("%s shows the head: %v", level, shown)
			}
			got := 0
			for size, n := range s.recvSizes() {
				got += size * n
			}
			if want := len(text); (level == "-vvv") != (got == want) || level != "-vvv" && got != 0 {
				t.Errorf("%s logs recv() of %d bytes in all, the request has %d", level, got, want)
			}
		}
	})
}

// recvSizes counts the sizes of the recv() calls in the log.
func (s *server) recvSizes() map[int]int {
	sizes := map[int]int{}
	events, _ := s.log.all()
	for _, e := range withMessage(events, "recv") {
		sizes[e.number("bytes")]++
	}
	return sizes
}

// TestRecvOne logs each recv() of one byte.
func TestRecvOne(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model, "--recv", "1", "-vv")
		text := request("GET", "/", "Connection: close")
		if r, err := exchange(s.port, text); err != nil || string(r.body) != "front" {
			t.Fatalf("%v %v", r, err)
		}
		s.awaitRequests(1)
		s.stop(5 * time.Second)
		sizes := s.recvSizes()
		if sizes[1] != len(text) {
			t.Errorf("%d recv() of one byte for a request of %d", sizes[1], len(text))
		}
		for size := range sizes {
			if size != 0 && size != 1 {
				t.Errorf("a recv() of %d bytes", size)
			}
		}
	})
}

// TestPoolIsLogged follows a worker's life in the log.
func TestPoolIsLogged(t *testing.T) {
	t.Parallel()
	s := serve(t, tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	workers := s.workers()
	s.stop(5 * time.Second)
	events, odd := s.log.all()
	if len(odd) > 0 {
		t.Errorf("not JSON: %q", odd)
	}
	lines := map[int]int{}
	for _, e := range events {
		lines[e.number("pid")]++
	}
	for _, pid := range workers {
		if lines[pid] < 3 {
			t.Errorf("%d lines about worker %d, want its start, its being ready and its end", lines[pid], pid)
		}
	}
	serving := withMessage(events, "serving")[0]
	if serving.text("model") != "process" || serving.number("workers") != 2 || serving.text("base") == "" {
		t.Errorf("the serving line is %v", serving)
	}
}

// TestLogReaderGone closes the other end of the log's pipe: the server goes
// on.
func TestLogReaderGone(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		port := freePort(t)
		s := launch(t, plan{err: write, args: []string{
			"--base", base, "--bind", "127.0.0.1", "--port", itoa(port), "--model", model, "-vvv", "--log-format", "json",
		}})
		write.Close()
		s.port = port
		s.awaitAnswer()
		read.Close()
		for range 10 {
			s.mustServe("/", "front")
		}
		s.stop(5 * time.Second)
	})
}
