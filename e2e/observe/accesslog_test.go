package observe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// loggedRequest is a request and its expected access log line.
type loggedRequest struct {
	text string
	logged
}

// hostile returns requests of all kinds, many of which try to forge log lines.
func hostile() []loggedRequest {
	const tail = "Host: x\r\nConnection: close\r\n"
	get := func(target, referer, agent string, status int) loggedRequest {
		text := "GET " + target + " HTTP/1.1\r\n" + tail
		if referer != "" {
			text += "Referer: " + referer + "\r\n"
		}
		if agent != "" {
			text += "User-Agent: " + agent + "\r\n"
		}
		return loggedRequest{text + "\r\n", logged{"127.0.0.1", "GET", target, "HTTP/1.1", status, 0, referer, agent}}
	}
	refused := func(text string, status int) loggedRequest {
		return loggedRequest{text, logged{client: "127.0.0.1", status: status}}
	}
	const forged = `" 200 1 "-" "-`
	all := []loggedRequest{
		get("/", "", "", 200), get("/", "http://x.test/?a=b", "Mozilla/5.0 (X11; Linux x86_64)", 200),
		get(`/"quoted"`, `"`, `\`, 404), get(`/\`, `\"`, `\\x41\n`, 404), get(`/"200`, forged, forged, 404),
		get("/caf\xc3\xa9", "\xe2\x80\xae\u2028", "\xf0\x9f\x8e\xba", 404), get("/\xff\xfe\xc3(", "\xff", "\xc0\xaf\x80", 404),
		get("/%0a%00%22", "%0d%0a", "a\tb", 404), get("/?"+strings.Repeat("a&", 4000), "", "", 200),
		get("/", "", strings.Repeat("u\"", 7900), 200), get("/", strings.Repeat("\xfe", 15_000), "", 200),
		get("/%5b2J", "-", "-", 404),
		{"HEAD /none HTTP/1.0\r\n\r\n", logged{"127.0.0.1", "HEAD", "/none", "HTTP/1.0", 404, 0, "", ""}},
		{"BREW /pot HTTP/1.1\r\n" + tail + "\r\n", logged{"127.0.0.1", "BREW", "/pot", "HTTP/1.1", 501, 0, "", ""}},
		{"POST / HTTP/1.1\r\n" + tail + "Content-Length: 3\r\n\r\nabc", logged{"127.0.0.1", "POST", "/", "HTTP/1.1", 405, 0, "", ""}},
		{"GET / HTTP/1.1\r\n" + tail + "Range: bytes=1-2\r\n\r\n", logged{"127.0.0.1", "GET", "/", "HTTP/1.1", 206, 0, "", ""}},
		{"GET / HTTP/1.1\r\n" + tail + "If-None-Match: *\r\n\r\n", logged{"127.0.0.1", "GET", "/", "HTTP/1.1", 304, 0, "", ""}},
		{"GET /big HTTP/1.1\r\n" + tail + "\r\n", logged{"127.0.0.1", "GET", "/big", "HTTP/1.1", 200, 0, "", ""}},
		refused("GET /\x1b[2J HTTP/1.1\r\n"+tail+"\r\n", 400), refused("GET / HTTP/1.1\r\n"+tail+"User-Agent: \x07\x08\x7f\r\n\r\n", 400),
		refused("GET /a\nb HTTP/1.1\r\n"+tail+"\r\n", 400), refused("GET / HTTP/1.1\r\n\r\n", 400), refused("\x16\x03\x01\x02\r\n\r\n", 400),
		refused("GET / HTTP/2.0\r\n"+tail+"\r\n", 505), refused("GET /"+strings.Repeat("a", 8200)+" HTTP/1.1\r\n"+tail+"\r\n", 414),
		refused("GET / HTTP/1.1\r\n"+tail+"X: "+strings.Repeat("a", 17_000)+"\r\n\r\n", 431),
	}
	for i, s := range all {
		if s.agent == "-" { // a field of "-" is logged like an absent one
			all[i].agent, all[i].referer = "", ""
		}
	}
	return all
}

// TestAccessLogFields compares every field of the access log with the request, in each format.
func TestAccessLogFields(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Write(t, filepath.Join(base, "big"), harness.Noise("big", 3<<20))
	for _, c := range [][]string{
		{"common", "--workers", "3"}, {"combined", "--model", "goroutine"}, {"combined", "--model", "serial"}, {"json", "--workers", "2"},
		{"combined", "--workers", "2"}, {"json", "--workers", "1", "--engine", "netpoll"},
	} {
		t.Run(strings.Join(c, " "), func(t *testing.T) {
			t.Parallel()
			format, path := c[0], filepath.Join(harness.MemoryDir(t), "log")
			s := harness.Serve(t, base, append(c[1:], "--access-log", path, "--access-log-format", format)...)
			began := time.Now().Truncate(time.Second)
			want := sendAll(s, hostile(), format)
			lines := awaitLines(t, path, len(hostile()))
			s.Stop(5 * time.Second)
			if n := len(linesOf(t, path)); n != len(hostile()) {
				t.Errorf("%d lines for %d requests, want one each", n, len(hostile()))
			}
			for _, line := range lines {
				got, at, err := readLogged(format, line)
				if err != nil || want[got] == 0 {
					t.Errorf("unexpected line %.500s\nread as %v, error %v", line, got, err)
				}
				if at.Before(began) || at.After(time.Now()) {
					t.Errorf("the line's time is %v, the test began at %v and it is %v: %.200s", at, began, time.Now(), line)
				}
				want[got]--
			}
			for v, n := range want {
				if n != 0 {
					t.Errorf("%d lines missing or, if negative, surplus: %v", n, v)
				}
			}
		})
	}
}

// sendAll sends requests, one after the other, and returns the expected log lines.
func sendAll(s *harness.Server, all []loggedRequest, format string) map[logged]int {
	s.T.Helper()
	want := map[logged]int{}
	for _, one := range all {
		r, err := harness.Exchange(s.Port, one.text)
		if err != nil {
			s.T.Fatalf("%.80q: %v", one.text, err)
		}
		if one.status != r.Status {
			s.T.Errorf("%.80q: %d, want %d", one.text, r.Status, one.status)
		}
		one.bytes = len(r.Body)
		want[one.inFormat(format)]++
	}
	return want
}

// inFormat returns the fields that a format logs.
func (s loggedRequest) inFormat(format string) logged {
	v := s.logged
	switch format {
	case "common":
		v.referer, v.agent = "", ""
	case "json":
		if strings.Contains(s.text, "User-Agent: -\r\n") {
			v.referer, v.agent = "-", "-"
		}
		v.target, v.referer, v.agent = inJSON(v.target), inJSON(v.referer), inJSON(v.agent)
	}
	return v
}

// logClients is a group of clients, each of which requests paths of its own.
type logClients struct {
	port   int
	quit   chan struct{}
	joined sync.WaitGroup

	mu      sync.Mutex
	replies []int // responses to each client
	errs    []error
}

// startClients starts n clients. Each makes a few requests on each of its connections, until stop is called:
// at most so many that workers can keep the lines if the master gets no CPU for some seconds.
func startClients(port, n int) *logClients {
	c := &logClients{port: port, quit: make(chan struct{}), replies: make([]int, n)}
	for i := range n {
		c.joined.Go(func() { c.run(i) })
	}
	return c
}

func (c *logClients) run(i int) {
	tick := time.NewTicker(8 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := harness.Connect(c.port)
		for j := 0; err == nil && j < 20; j++ {
			long := strings.Repeat("long", j*10)
			<-tick.C
			if _, err = conn.Ask(harness.Request("GET", fmt.Sprintf("/c%d/r%d?%s", i, c.replies[i], long))); err == nil {
				c.mu.Lock()
				c.replies[i]++
				c.mu.Unlock()
			}
		}
		if conn != nil {
			conn.Close()
		}
		if err != nil {
			c.mu.Lock()
			c.errs = append(c.errs, err)
			c.mu.Unlock()
			return
		}
		select {
		case <-c.quit:
			return
		default:
		}
	}
}

// stop stops the clients and returns the number of responses.
func (c *logClients) stop(t *testing.T) int {
	t.Helper()
	close(c.quit)
	c.joined.Wait()
	for _, err := range c.errs {
		t.Errorf("a client: %v", err)
	}
	return c.soFar()
}

func (c *logClients) soFar() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.replies {
		n += k
	}
	return n
}

// check checks that each response has exactly one log line.
func (c *logClients) check(t *testing.T, lines []string) {
	t.Helper()
	seen := map[string]int{}
	for _, line := range lines {
		v, _, err := readLogged("combined", line)
		if err != nil {
			t.Error(err)
			continue
		}
		name, _, _ := strings.Cut(v.target, "?")
		seen[name]++
	}
	for i, n := range c.replies {
		for j := range n {
			name := fmt.Sprintf("/c%d/r%d", i, j)
			if seen[name] != 1 {
				t.Errorf("%s has %d log lines, want 1", name, seen[name])
			}
			delete(seen, name)
		}
	}
	for name, n := range seen {
		if strings.HasPrefix(name, "/c") {
			t.Errorf("%s has %d log lines but got no response", name, n)
		}
	}
}

// TestAccessLogRotation renames the file ten times while all workers write to it: no line is lost or
// torn.
func TestAccessLogRotation(t *testing.T) {
	t.Parallel()
	dir := harness.MemoryDir(t)
	path := filepath.Join(dir, "log")
	o := harness.Operated(t, harness.Plan{Args: []string{"--base", harness.Tree(t, nil), "--workers", "3", "--access-log", path}})
	c := startClients(o.Port, 4)
	for i := range 10 {
		at := c.soFar()
		harness.Await(t, 10*time.Second, "100 more responses", func() bool { return c.soFar() > at+100 })
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		o.Signal(syscall.SIGUSR1)
		harness.Await(t, 10*time.Second, "a new file", func() bool {
			info, err := os.Stat(path)
			return err == nil && info.Size() > 0
		})
	}
	n := c.stop(t)
	s := o.MustScrape()
	for slot := range 3 {
		if s.Sum("phalanx_http_requests_total", fmt.Sprintf(`slot="%d"`, slot)) < 50 {
			t.Errorf("slot %d has served fewer than 50 requests", slot)
		}
	}
	if lost := s.Sum("phalanx_access_log_lost_lines_total"); lost != 0 {
		t.Errorf("%v lines were lost, want none", lost)
	}
	o.Server.Stop(5 * time.Second)
	var lines []string
	for _, name := range harness.FilesOf(t, dir) {
		lines = append(lines, linesOf(t, filepath.Join(dir, name))...)
	}
	c.check(t, lines)
	if len(harness.FilesOf(t, dir)) != 11 || n < 1000 {
		t.Errorf("%d responses, log files %q; want at least 1000, 11", n, harness.FilesOf(t, dir))
	}
}

// TestAccessLogSurvivesKill kills all workers right after their last responses: every response is
// logged.
func TestAccessLogSurvivesKill(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--workers", "3"}, {"--model", "goroutine"}, {"--engine", "netpoll", "--workers", "2"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(harness.MemoryDir(t), "log")
			s := harness.ServeSilently(t, harness.Plan{Args: append(args, "--base", harness.Tree(t, nil), "--access-log", path)})
			victims := s.Workers()
			c := startClients(s.Port, 4)
			harness.Await(t, 10*time.Second, "300 responses", func() bool { return c.soFar() > 300 })
			c.stop(t)
			for _, pid := range victims {
				harness.Kill(t, pid, syscall.SIGKILL)
			}
			s.AwaitWorkers(len(victims), victims...)
			s.Stop(5 * time.Second)
			c.check(t, linesOf(t, path))
		})
	}
}
