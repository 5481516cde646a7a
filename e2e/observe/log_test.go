package observe

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestRequestLine checks every field of a request's log line.
func TestRequestLine(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front", "sub/index.html": "sub"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		workers := s.Workers()
		cases := []struct {
			method, target string
			status, bytes  int // -1: whatever the reply's body has
		}{
			{"GET", "/", 200, 5}, {"HEAD", "/", 200, 0}, {"GET", "/missing?x=1", 404, -1}, {"HEAD", "/missing", 404, 0},
			{"GET", "/sub", 301, -1}, {"POST", "/", 405, -1}, {"BREW", "/", 501, -1},
		}
		for _, c := range cases {
			conn := s.Dial()
			r := s.MustAsk(conn, harness.Request(c.method, c.target, "Connection: close"))
			e := s.AwaitRequestOf(conn)
			if c.bytes < 0 {
				c.bytes = len(r.Body)
			}
			if e.Text("method") != c.method || e.Text("path") != c.target || e.Number("status") != c.status || e.Number("bytes") != c.bytes {
				t.Errorf("%s %s with a response of status %d and %d bytes is logged as %v", c.method, c.target, r.Status, len(r.Body), e)
			}
			if c.status != r.Status {
				t.Errorf("%s %s: %d, want %d", c.method, c.target, r.Status, c.status)
			}
			if e.Number("slot") < 0 || e.Number("slot") >= len(workers) || !slices.Contains(workers, e.Number("pid")) {
				t.Errorf("slot %v and pid %v; the workers are %v", e["slot"], e["pid"], workers)
			}
			if ms, ok := e["ms"].(float64); !ok || ms < 0 || ms > 5000 {
				t.Errorf("ms is %v, want 0 to 5000", e["ms"])
			}
		}
		if n := len(s.AwaitRequests(len(cases))); n != len(cases) {
			t.Errorf("%d lines for %d requests, want one each", n, len(cases))
		}
	})
}

// TestConcurrentLogLines has four workers log long lines at the same time into one pipe, and into one
// file: no line is lost or torn.
func TestConcurrentLogLines(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, []string{"pipe", "file"}, func(t *testing.T, kind string) {
		p := harness.Plan{Args: append(harness.Verbosely(base), "--workers", "4")}
		var file *os.File
		if kind == "file" {
			var err error
			file, err = os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			p.Err = file
		}
		s := harness.Launch(t, p)
		follow(s, file)
		const clients, requests = 60, 20 // enough that every slot serves some, except once in 10^6 runs
		requestInParallel(s, clients, requests, func(n int) {
			if file == nil { // or the master would drop lines when this process has no time to read them
				awaitLog(s, n-100)
			}
		})
		if file == nil {
			// A server that exits waits a second for a slow reader of its log, such as this process on
			// a busy machine, and drops the rest.
			s.AwaitRequests(clients * requests)
		}
		s.Stop(5 * time.Second)
		reload(s, file)

		events, odd := s.Log.All()
		for _, line := range odd {
			t.Errorf("not a line of JSON: %.200q", line)
		}
		seen := map[string]int{}
		slots := map[int]bool{}
		for _, e := range harness.WithMessage(events, "request") {
			name, _, _ := strings.Cut(e.Text("path"), "?")
			seen[name]++
			slots[e.Number("slot")] = true
		}
		for i := range clients {
			for j := range requests {
				if n := seen[fmt.Sprintf("/c%d/r%d", i, j)]; n != 1 {
					t.Errorf("request %d of client %d has %d log lines, want 1", j, i, n)
				}
			}
		}
		if len(slots) != 4 {
			t.Errorf("the log lines are from slots %v, want all four", slots)
		}
	})
}

// TestLogUpgrade upgrades the master while workers log: every request has its line, whichever master
// reads it.
func TestLogUpgrade(t *testing.T) {
	t.Parallel()
	dir := harness.Copies(t, "master", "worker")
	args := append(harness.Verbosely(harness.Tree(t, map[string]string{"index.html": "front"})), "--workers", "2")
	s := harness.ServeAs(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: args})
	const clients = 3
	var all sync.WaitGroup
	var asked [clients]int
	var responses atomic.Int64
	stop := make(chan struct{})
	for i := range clients {
		c := s.Dial()
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Ask(harness.Request("GET", fmt.Sprintf("/c%d/r%d", i, asked[i]))); err != nil {
					t.Error(err)
					return
				}
				asked[i]++
				awaitLog(s, int(responses.Add(1))-1000) // a worker drops more lines than it can keep
			}
		})
	}
	for n := 1; n <= 3; n++ {
		old := s.Workers()
		s.Signal(syscall.SIGUSR2)
		s.AwaitMessages(n, "master upgraded")
		s.AwaitWorkers(2, old...)
	}
	close(stop)
	all.Wait()
	s.AwaitRequests(int(responses.Load())) // as in TestConcurrentLogLines
	s.Stop(10 * time.Second)
	events, odd := s.Log.All()
	seen := map[string]int{}
	for _, e := range harness.WithMessage(events, "request") {
		seen[e.Text("path")]++
	}
	lost := 0
	for i, n := range asked {
		for j := range n {
			if seen[fmt.Sprintf("/c%d/r%d", i, j)] != 1 {
				lost++
			}
		}
	}
	if lost > 0 || len(odd) > 0 || asked[0] < 10 {
		t.Errorf("%v requests by client: %d of them do not have one log line; %d lines are not JSON", asked, lost, len(odd))
	}
}

// follow waits until the log, which may be a file, has the serving line with the port.
func follow(s *harness.Server, file *os.File) {
	s.T.Helper()
	if file != nil {
		harness.Await(s.T, 10*time.Second, "the serving line in the file", func() bool {
			text, err := os.ReadFile(file.Name())
			return err == nil && strings.Contains(string(text), `"serving"`)
		})
		reload(s, file)
	}
	s.AwaitServing()
}

// reload reads a log file again.
func reload(s *harness.Server, file *os.File) {
	s.T.Helper()
	if file == nil {
		return
	}
	text := harness.Read(s.T, file.Name())
	s.Log = harness.NewJournal()
	// Writing to a journal cannot fail.
	_, _ = s.Log.Write(text)
}

// awaitLog waits until the log has n lines of any kind.
func awaitLog(s *harness.Server, n int) {
	s.T.Helper()
	s.Log.Await(s.T, 30*time.Second, fmt.Sprintf("%d lines", n), s.Exited, func(all []harness.Event) bool { return len(all) >= n })
}

// requestInParallel makes requests from several clients at the same time, each for paths of its own with lengths
// up to 7 KiB. After each response it calls pause with the number of responses so far.
func requestInParallel(s *harness.Server, clients, requests int, pause func(n int)) {
	s.T.Helper()
	var responses atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, clients)
	for i := range clients {
		all.Go(func() {
			c, err := harness.Connect(s.Port)
			for j := 0; err == nil && j < requests; j++ {
				long := strings.Repeat("long", (i*requests+j)*1750/(clients*requests))
				if _, err = c.Ask(harness.Request("GET", fmt.Sprintf("/c%d/r%d?%s", i, j, long))); err == nil {
					pause(int(responses.Add(1)))
				}
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
		s.T.Error(err)
	}
}

// TestLogForgery sends requests that contain log lines and terminal control characters: they are
// escaped.
func TestLogForgery(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	const forged = `{"level":"info","message":"request","path":"/forged"}`
	targets := []string{
		"/%0a" + forged, "/%0d%0a" + forged + "%0a", "/\"}" + forged, "/\\", "/\\n" + forged, "/%1b[2J", "/%00",
		"/\x1b[2J\x1b[31m", "/\x07\x08\x7f", "/\u2028" + forged, "/\u202e", "/\xff\xfe\xc3(", "/\r" + forged, "/\n" + forged, "/\x00" + forged,
	}
	for _, format := range []string{"json", "console"} {
		for _, level := range []string{"-v", "-vv", "-vvv"} {
			t.Run(format+level, func(t *testing.T) {
				t.Parallel()
				port := harness.FreePort(t)
				s := harness.Launch(t, harness.Plan{Env: []string{"NO_COLOR=1"}, Args: []string{
					"--base", base, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--workers", "1", level, "--log-format", format,
				}})
				s.Port = port
				s.AwaitAnswer()
				for _, target := range targets {
					for _, text := range []string{
						"GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
						"GET / HTTP/1.1\r\nHost: x\r\nX: " + target + "\r\nConnection: close\r\n\r\n",
						target + " / HTTP/1.1\r\n" + target + "\r\n\r\n",
					} {
						// Most of these get 400; only the log matters here.
						_, _ = harness.Exchange(port, text)
					}
				}
				s.Stop(5 * time.Second)
				checkForgery(s, format)
			})
		}
	}
}

// checkForgery checks the raw bytes of the log.
func checkForgery(s *harness.Server, format string) {
	s.T.Helper()
	for _, line := range s.Log.Lines() {
		if strings.HasPrefix(line, "{") != (format == "json") {
			s.T.Errorf("line not in format %s: %q", format, line)
		}
		for _, c := range line {
			if c < 0x20 || c == 0x7f || c == '\ufffd' || c == '\u2028' || c == '\u202e' {
				s.T.Errorf("unescaped character %q in line %q", c, line)
			}
		}
	}
	events, _ := s.Log.All()
	for _, e := range events {
		if e.Text("path") == "/forged" {
			s.T.Errorf("a request has forged the line %v", e)
		}
	}
}

// TestVerbosityLevels checks what each -v adds to the log.
func TestVerbosityLevels(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		var before int
		for _, level := range []string{"-v", "-vv", "-vvv"} {
			args := []string{"--base", base, "--bind", "127.0.0.1", "--port", "0", level, "--log-format", "json", "--model", model}
			s := harness.ServeAs(t, harness.Plan{Args: append(args, "--recv", "7")})
			text := harness.Request("GET", "/?needle", "Connection: close", "X-Thread: haystack")
			if _, err := harness.Exchange(s.Port, text); err != nil {
				t.Fatal(err)
			}
			s.AwaitRequests(1)
			s.Stop(5 * time.Second)
			events, odd := s.Log.All()
			if len(odd) > 0 || len(events) <= before {
				t.Errorf("%s logs %d lines, the previous level %d; want more. Lines that are not JSON: %q", level, len(events), before, odd)
			}
			before = len(events)
			if n := len(harness.WithMessage(events, "request")); n != 1 {
				t.Errorf("%s logs %d lines for one request, want 1", level, n)
			}
			if shown := strings.Contains(s.Log.String(), "haystack"); shown != (level != "-v") {
				t.Errorf("%s logs the request head: %v", level, shown)
			}
			got := 0
			for size, n := range s.RecvSizes() {
				got += size * n
			}
			if want := len(text); (level == "-vvv") != (got == want) || level != "-vvv" && got != 0 {
				t.Errorf("%s logs recv() calls of %d bytes in total; the request has %d, and only -vvv logs them", level, got, want)
			}
		}
	})
}

// TestRecvOfOneByte reads a request byte by byte with --recv 1 and logs each recv().
func TestRecvOfOneByte(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model, "--recv", "1", "-vv")
		text := harness.Request("GET", "/", "Connection: close")
		if r, err := harness.Exchange(s.Port, text); err != nil || string(r.Body) != "front" {
			t.Fatalf("response %v, error %v; want \"front\"", r, err)
		}
		s.AwaitRequests(1)
		s.Stop(5 * time.Second)
		sizes := s.RecvSizes()
		if sizes[1] != len(text) {
			t.Errorf("%d recv() calls of one byte for a request of %d bytes", sizes[1], len(text))
		}
		for size := range sizes {
			if size != 0 && size != 1 {
				t.Errorf("a recv() of %d bytes, want 1", size)
			}
		}
	})
}

// TestPoolIsLogged checks the log lines about workers and the start of the server.
func TestPoolIsLogged(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2")
	workers := s.Workers()
	s.Stop(5 * time.Second)
	events, odd := s.Log.All()
	if len(odd) > 0 {
		t.Errorf("not JSON: %q", odd)
	}
	lines := map[int]int{}
	for _, e := range events {
		lines[e.Number("pid")]++
	}
	for _, pid := range workers {
		if lines[pid] < 3 {
			t.Errorf("%d lines about worker %d, want at least 3: started, ready and exited", lines[pid], pid)
		}
	}
	serving := harness.WithMessage(events, "serving")[0]
	if serving.Text("model") != "process" || serving.Number("workers") != 2 || serving.Text("base") == "" {
		t.Errorf("serving line: %v", serving)
	}
}

// TestLogReaderGone closes the reading end of the log's pipe: the server keeps serving.
func TestLogReaderGone(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		port := harness.FreePort(t)
		args := []string{"--base", base, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--model", model, "-vvv", "--log-format", "json"}
		s := harness.Launch(t, harness.Plan{Err: write, Args: args})
		write.Close()
		s.Port = port
		s.AwaitAnswer()
		read.Close()
		for range 10 {
			s.MustServe("/", "front")
		}
		s.Stop(5 * time.Second)
	})
}
