package observe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

const (
	goLines   = 1_000_000
	goClients = 4
	goBatch   = 50 // pipelined requests
	goRefused = 1000
)

// crawlers returns a batch of requests with hostile header fields. None is refused, so that each has a
// complete log line.
func crawlers() string {
	targets := []string{
		"/", "/page?q=%22quoted%22", `/"q"`, `/a"b\`, `/\`, `/"`, "/caf\xc3\xa9", "/\xff\xfe", "/%00%0a%0d", "/[2026]", "/a=b&c;d", "/'--", "/<script>", "/%",
	}
	agents := []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", `"`, `\`, `\"`, `" 200 5 "-" "-`, "\xf0\x9f\x8e\xba", "\xff\xfe\xc3(", "a\tb", "-", "", "%h %l [x] ~",
	}
	referers := []string{"https://x.test/?a=b", `"`, `a"b" "c`, `\\`, `\`, "\xc0\xaf", "-", ""}
	var b strings.Builder
	for i := range goBatch {
		fields := []string{"User-Agent: " + agents[i%len(agents)], "Referer: " + referers[i%len(referers)]}
		method := "GET"
		if i%7 == 0 {
			method = "HEAD"
		}
		b.WriteString(harness.Request(method, targets[i%len(targets)], fields...))
	}
	return b.String()
}

// unreadable returns requests that are refused before their target is known.
func unreadable() []string {
	return []string{
		"GET /\x1b HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/3.0\r\n\r\n",
		"GET /" + strings.Repeat("a", 8200) + " HTTP/1.1\r\nHost: x\r\n\r\n",
	}
}

// fillUp makes requests for log lines that were lost, as some may be when clients send more than the
// machine can log.
func fillUp(o *harness.Operator, lines int) {
	o.T.Helper()
	c := o.Dial()
	for range 10 {
		missing := lines + lostLines(o) - int(o.Snapshot().Total.Answered)
		if missing <= 0 {
			return
		}
		o.T.Logf("%d lines were lost", missing)
		for range missing {
			if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
				o.T.Fatal(err)
			}
			o.MustAsk(c, harness.Request("GET", "/more"))
		}
	}
	o.T.Fatal("lines are lost even with one request at a time")
}

// TestGoAccess writes a million access log lines of hostile requests: GoAccess parses every one.
func TestGoAccess(t *testing.T) {
	t.Parallel()
	goaccess := harness.Tool(t, "apt-get install goaccess", "goaccess")
	dir := harness.OpenDir(t) // on disk, because memory may be short
	path := filepath.Join(dir, "log")
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	o := harness.Operated(t, harness.Plan{Args: []string{"--base", base, "--workers", "2", "--access-log", path}})
	began := time.Now()
	errs := make(chan error, goClients)
	for range goClients {
		go func() { errs <- crawl(o.Port, (goLines-goRefused)/goClients/goBatch) }()
	}
	for i := range goRefused {
		if r, err := harness.Exchange(o.Port, unreadable()[i%len(unreadable())]); err != nil || r.Status < 400 {
			t.Fatalf("refusal %d: response %v, error %v", i, r, err)
		}
	}
	for range goClients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	fillUp(o, goLines)
	t.Logf("requests took %v", time.Since(began))
	o.Server.Stop(5 * time.Second)
	// Remove the lines of the server's start.
	if n := lastLines(t, path, goLines); n != goLines {
		t.Fatalf("%d lines, want %d", n, goLines)
	}
	began = time.Now()
	got := analysed(t, goaccess, path, "COMBINED")
	t.Logf("GoAccess took %v", time.Since(began))
	if g := got.General; g.Total != goLines || g.Valid != goLines || g.Failed != 0 {
		t.Errorf("GoAccess found %+v, want %d valid lines", g, goLines)
	}
}

// TestGoAccessSites writes an access log of several sites, which GoAccess tells apart.
func TestGoAccessSites(t *testing.T) {
	t.Parallel()
	goaccess := harness.Tool(t, "apt-get install goaccess", "goaccess")
	path := filepath.Join(harness.OpenDir(t), "log")
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.Serve(t, base, "--site", "a.example,b.example="+base, "--site", "*.c.example="+base, "--access-log", path, "--access-log-format", "vhost_combined")
	hosts := map[string]string{"a.example": "a.example", "b.example:80": "a.example", "any.c.example": "*.c.example", "other.example": "*"}
	for host := range hosts {
		if r, err := harness.Exchange(s.Port, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); err != nil || r.Status != 200 {
			t.Fatalf("%s: response %v, error %v", host, r, err)
		}
	}
	s.Stop(5 * time.Second)
	got := analysed(t, goaccess, path, "VCOMBINED")
	seen := map[string]bool{}
	for _, v := range got.VHosts.Data {
		seen[v.Data] = true
	}
	if g := got.General; g.Failed != 0 || g.Total < len(hosts) || len(seen) != 3 || !seen["a.example"] || !seen["*.c.example"] || !seen["*"] {
		t.Errorf("GoAccess found %+v and the sites %v, want three sites", g, seen)
	}
}

// analysis is GoAccess's report on a log.
type analysis struct {
	General struct {
		Total  int `json:"total_requests"`
		Valid  int `json:"valid_requests"`
		Failed int `json:"failed_requests"`
	}
	VHosts struct {
		Data []struct{ Data string }
	}
}

// analysed runs GoAccess on a log, in a format by GoAccess's name for it.
func analysed(t *testing.T, goaccess, path, format string) (got analysis) {
	t.Helper()
	dir := filepath.Dir(path)
	report := filepath.Join(dir, "report.json")
	cmd := exec.Command(goaccess, path, "--log-format="+format, "-o", report, "--no-global-config", "--no-progress")
	cmd.Env, cmd.Dir = append(harness.BareEnv(), "HOME="+dir), dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("goaccess: %v\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// crawl sends the batch of requests repeatedly over one connection. The responses always have the same
// total length.
func crawl(port, times int) error {
	c, err := harness.Connect(port)
	if err != nil {
		return err
	}
	defer c.Close()
	text := crawlers()
	if err := c.Send(text); err != nil {
		return err
	}
	var size int64
	counted := &counter{Reader: c.In, n: &size}
	first := &harness.Client{Conn: c.Conn, In: bufio.NewReader(counted)}
	for line := range strings.Lines(text) {
		if method, rest, _ := strings.Cut(line, " "); strings.HasSuffix(rest, " HTTP/1.1\r\n") {
			if r, err := first.Reply(method); err != nil || r.Closes() {
				return fmt.Errorf("%q: %w, response %v", line, err, r)
			}
		}
	}
	if n := first.In.Buffered(); n > 0 {
		return fmt.Errorf("%d bytes after the responses", n)
	}
	for range times - 1 {
		if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
			return err
		}
		if err := c.Send(text); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, c.In, size); err != nil {
			return err
		}
	}
	return nil
}

type counter struct {
	io.Reader
	n *int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// lastLines reduces a file to its last n lines and returns how many it has.
func lastLines(t *testing.T, path string, n int) int {
	t.Helper()
	text := harness.Read(t, path)
	for more := bytes.Count(text, []byte("\n")) - n; more > 0; more-- {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	harness.Write(t, path, text)
	return bytes.Count(text, []byte("\n"))
}
