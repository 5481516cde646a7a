package http

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

const entries = 100_000

// longDir returns a directory with so many entries.
func longDir(t *testing.T) string {
	t.Helper()
	dir := harness.MemoryDir(t)
	for i := range entries {
		// os.Create does less than harness.Write, which matters for so many files.
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("entry-%06d.txt", i)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return dir
}

// TestLongListing streams a listing of 100,000 entries: completely, in bounded memory, and without
// delaying other requests.
func TestLongListing(t *testing.T) {
	t.Parallel()
	dir := longDir(t)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", dir, "--list", "--model", model, "--workers", strconv.Itoa(harness.PoolSize(model, 2))}})
		before := rss(t, s, "VmRSS")
		slow := s.Dial()
		s.MustSend(slow, harness.Request("GET", "/?format=json"))
		asked := time.Now()
		if r := s.MustGet("/entry-000001.txt"); r.Status != 200 || time.Since(asked) > harness.InTime(3*time.Second) {
			t.Errorf("during a long listing a file took %v, status %d; want 200 within 3 s", time.Since(asked), r.Status)
		}
		for _, format := range []string{"html", "json"} {
			body := stream(s, "/?format="+format)
			if n := strings.Count(body, "entry-099999.txt"); n == 0 {
				t.Errorf("the listing as %s lacks the last entry", format)
			}
			if n := strings.Count(body, "<td><a href=") + strings.Count(body, `{"name":`); n != entries && n != entries+1 {
				t.Errorf("%d entries in the listing as %s, want %d", n, format, entries)
			}
		}
		if grown := rss(t, s, "VmHWM") - before; grown > 64<<20 {
			t.Errorf("a worker grew by up to %d MiB, want at most 64", grown>>20)
		} else {
			t.Logf("a worker grew by up to %d MiB", grown>>20)
		}
	})
}

// TestListingsOfSlowClients has a hundred clients read a long listing slowly: all are served, and the
// worker keeps only one copy of the listing in memory.
func TestListingsOfSlowClients(t *testing.T) {
	t.Parallel()
	dir := longDir(t)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", dir, "--list", "--model", model, "--workers", "1"}})
		before := rss(t, s, "VmRSS")
		var clients []*harness.Client
		var bodies []io.Reader
		var begins []string // of the bodies
		for range 4 {       // batches
			// Clients that read nothing would time out if the machine is slow.
			for i, c := range clients {
				begin, err := readSome(c, bodies[i])
				if err != nil {
					t.Fatalf("client %d: %v", i, err)
				}
				begins[i] += begin
			}
			for range 25 {
				c, err := harness.ConnectNarrow(s.Port, 4096)
				if err == nil {
					t.Cleanup(func() { c.Close() })
					err = c.Send(harness.Request("GET", "/"))
				}
				if err != nil {
					t.Fatal(err)
				}
				clients, bodies, begins = append(clients, c), append(bodies, httputil.NewChunkedReader(c.In)), append(begins, "")
			}
			for i, c := range clients[len(clients)-25:] {
				if r, err := c.Head(); err != nil || r.Status != 200 {
					t.Fatalf("client %d of a batch: %+v, error %v", i, r, err)
				}
			}
		}
		if grown := rss(t, s, "VmHWM") - before; grown > 96<<20 {
			t.Errorf("the worker grew by up to %d MiB, want at most 96", grown>>20)
		} else {
			t.Logf("the worker grew by up to %d MiB", grown>>20)
		}
		for _, i := range []int{0, 99} {
			err := clients[i].SetDeadline(time.Now().Add(harness.ClientTimeout))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(bodies[i])
			if n := strings.Count(begins[i]+string(body), "<td><a href="); n != entries || err != nil {
				t.Errorf("%d entries, error %v; want %d", n, err, entries)
			}
		}
	})
}

// readSome reads a little of a body.
func readSome(c *harness.Client, body io.Reader) (string, error) {
	if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
		return "", err
	}
	some := make([]byte, 4<<10)
	n, err := io.ReadFull(body, some)
	return string(some[:n]), err
}

// stream fetches a chunked response and returns its body.
func stream(s *harness.Server, target string) string {
	s.T.Helper()
	answer, err := http.Get(s.URL(target))
	if err != nil {
		s.T.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 || answer.ContentLength >= 0 {
		s.T.Errorf("%s: %s with Content-Length %d, error %v; want 200 without one", target, answer.Status, answer.ContentLength, err)
	}
	http.DefaultClient.CloseIdleConnections()
	return string(body)
}

// rss returns the largest value among the workers of a field of /proc/PID/status, in bytes.
func rss(t *testing.T, s *harness.Server, field string) int {
	t.Helper()
	most := 0
	for _, pid := range s.Workers() {
		text := harness.Read(t, fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, field+":"); ok {
				most = max(most, harness.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))<<10)
			}
		}
	}
	return most
}
