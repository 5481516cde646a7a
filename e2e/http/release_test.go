package http

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

var deployFor = flag.Duration("deploys.for", 2*time.Second, "how long the link is swapped in each model")

// numReleases is the number of releases, of which one is served at a time.
const numReleases = 4

// writeRelease creates a release of files, precompressed files, rules and error pages. All of them
// contain the release's letter, and all releases have the same names and times.
func writeRelease(t *testing.T, dir string, n int) {
	t.Helper()
	letter := string(rune('a' + n))
	for name, text := range map[string]string{
		"page.txt": strings.Repeat(letter, 1000+n), "page.txt.br": strings.Repeat(letter, 100+n), "large.bin": strings.Repeat(letter, 4<<20+n),
		"404.html": letter, "app/index.html": letter, "_headers": "/*\n  X-Release: " + letter + "\n", "_redirects": "/go /" + letter + " 302\n/app/* /app/index.html 200\n",
	} {
		path := filepath.Join(dir, name)
		harness.Write(t, path, []byte(text))
		harness.Aged(t, path)
	}
}

// swapLink points a link to another target in one step.
func swapLink(t *testing.T, link, target string) {
	t.Helper()
	err := os.Symlink(target, link+".next")
	if err == nil {
		err = os.Rename(link+".next", link)
	}
	if err != nil {
		t.Error(err)
	}
}

// requestAll requests everything that a release has until stop is closed, and checks that each response is
// from one release only.
func requestAll(s *harness.Server, stop <-chan struct{}, seen *[numReleases]atomic.Int64) {
	c := &harness.Asker{Port: s.Port}
	defer c.Close()
	last := `"none"`
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		ask := []string{"GET /page.txt", "GET /page.txt|Accept-Encoding: br", "GET /nothing", "GET /app/users/7", "GET /go", "HEAD /page.txt", "GET /page.txt|If-None-Match: " + last}[i%7]
		line, field, _ := strings.Cut(ask, "|")
		method, target, _ := strings.Cut(line, " ")
		var fields []string
		if field != "" {
			fields = append(fields, field)
		}
		r, err := c.Fetch(harness.Request(method, target, fields...))
		if err != nil {
			s.T.Errorf("%s: %v", ask, err)
			return
		}
		n, err := releaseOf(r)
		if err != nil {
			s.T.Errorf("%s: %d %v %.20q: %v", ask, r.Status, r.Header, r.Body, err)
			return
		}
		if last = r.Header.Get("ETag"); last == "" {
			last = `"none"`
		}
		seen[n].Add(1)
	}
}

// releaseOf returns the number of the release that all parts of a response are from.
func releaseOf(r *harness.Reply) (int, error) {
	letter := r.Header.Get("X-Release")
	if r.Status == 302 {
		letter = strings.TrimPrefix(r.Header.Get("Location"), "/")
	}
	n := 0
	if len(letter) != 1 || letter[0] < 'a' || letter[0] >= 'a'+numReleases {
		return 0, fmt.Errorf("the response names no release")
	}
	n = int(letter[0] - 'a')
	least := map[string]int{"200br": 100, "200": 1000}[fmt.Sprint(r.Status)+r.Header.Get("Content-Encoding")]
	switch {
	case r.Status == 302:
		return n, nil
	case r.Status != 200 && r.Status != 404 && r.Status != 304:
		return n, fmt.Errorf("unexpected status")
	case len(bytes.Trim(r.Body, letter)) > 0:
		return n, fmt.Errorf("the body is of another release")
	case r.Status == 200 && len(r.Body) > 1 && len(r.Body) != least+n:
		return n, fmt.Errorf("the body has %d bytes, want %d", len(r.Body), least+n)
	case r.Status == 200 && len(r.Body) == 0 && r.Header.Get("Content-Length") != fmt.Sprint(1000+n):
		return n, fmt.Errorf("Content-Length is that of another release")
	case r.Status == 304 && !strings.HasSuffix(strings.Trim(r.Header.Get("ETag"), `"`), fmt.Sprintf("-%x", 1000+n)):
		return n, fmt.Errorf("the entity tag is that of another release")
	}
	return n, nil
}

// layout describes how the document root leads to a release.
type layout struct{ name, base, link, target string }

// TestDeployByLink swaps the link that is the document root, as many deployments do and as Kubernetes
// updates a volume, while clients request everything that a release has: no response mixes two
// releases, none fails, and downloads end with the release that they began with.
func TestDeployByLink(t *testing.T) {
	t.Parallel()
	for _, l := range []layout{{"link", "current", "current", "releases/%d"}, {"kubernetes", "releases", "releases/..data", "%d"}} {
		for _, args := range [][]string{{"--workers", "3"}, {"--engine", "netpoll", "--workers", "2"}, {"--model", "goroutine"}, {"--model", "serial"}} {
			t.Run(l.name+" "+strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				deployByLink(t, l, args)
			})
		}
	}
}

func deployByLink(t *testing.T, l layout, args []string) {
	dir := harness.MemoryDir(t)
	for n := range numReleases {
		writeRelease(t, filepath.Join(dir, "releases", fmt.Sprint(n)), n)
	}
	swap := func(n int) { swapLink(t, filepath.Join(dir, l.link), fmt.Sprintf(l.target, n)) }
	swap(0)
	s := harness.ServeSilently(t, harness.Plan{Args: append([]string{"--base", filepath.Join(dir, l.base)}, args...)})
	d := s.Begin("/large.bin", 16<<10)
	if args[1] == "serial" {
		mustBeOfRelease(t, d, 'a') // or it would serve nobody else
	}
	var seen [numReleases]atomic.Int64
	stop := make(chan struct{})
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() { requestAll(s, stop, &seen) })
	}
	distinct := func() (n int) {
		for i := range seen {
			if seen[i].Load() > 0 {
				n++
			}
		}
		return n
	}
	began, n := time.Now(), 0
	for tick := time.NewTicker(100 * time.Millisecond); time.Since(began) < *deployFor || distinct() < 2 && time.Since(began) < harness.InTime(5*time.Second); n++ {
		<-tick.C
		swap(n % numReleases)
		d.SetDeadline(time.Now().Add(harness.ClientTimeout))
		if err := d.Take(min(1000, d.Length-d.Taken)); err != nil { // reading nothing would time out
			t.Error(err)
			break
		}
	}
	swap(1)
	harness.Await(t, 3*time.Second, "a response of the last release", func() bool {
		r, err := harness.Exchange(s.Port, harness.Request("GET", "/page.txt", "Connection: close"))
		return err == nil && r.Header.Get("X-Release") == "b"
	})
	close(stop)
	work.Wait()
	mustBeOfRelease(t, d, 'a')
	t.Logf("%d swaps; responses by release: %d %d %d %d", n, seen[0].Load(), seen[1].Load(), seen[2].Load(), seen[3].Load())
	if distinct() < 2 {
		t.Error("only one release was ever served")
	}
}

// mustBeOfRelease reads the rest of a download and checks that it is of one release.
func mustBeOfRelease(t *testing.T, d *harness.Download, letter byte) {
	t.Helper()
	body, err := io.ReadAll(io.LimitReader(d.In, d.Length-d.Taken))
	d.Taken += int64(len(body))
	if err != nil || len(bytes.Trim(body, string(letter))) > 0 || d.Taken != d.Length {
		t.Errorf("a download of release %c: received %d of %d bytes of it, error %v", letter, d.Taken, d.Length, err)
	}
}

// TestDanglingReleaseLink points the document root's link to nothing: the previous release stays in
// service, one log line and the metrics say so, and the next release is served once the link leads to it.
func TestDanglingReleaseLink(t *testing.T) {
	t.Parallel()
	dir := harness.MemoryDir(t)
	for n := range 2 {
		writeRelease(t, filepath.Join(dir, "releases", fmt.Sprint(n)), n)
	}
	link := filepath.Join(dir, "current")
	swapLink(t, link, "releases/0")
	s, e := harness.ServeWithAdmin(t, link, "--workers", "2")
	swapLink(t, link, "releases/none")
	s.AwaitText("stays in service until that is corrected")
	if r := s.MustGet("/page.txt"); r.Header.Get("X-Release") != "a" {
		t.Errorf("release %q is served, want a", r.Header.Get("X-Release"))
	}
	harness.Await(t, 5*time.Second, "a problem in the pool's status", func() bool {
		p := e.Pool()
		return len(p.Problems) == 1 && strings.Contains(p.Problems[0].Text, "the previous one stays in service")
	})
	stale := func(n int) func() bool {
		return func() bool {
			_, metrics, _ := e.Ask("GET", "/metrics")
			return strings.Contains(metrics, fmt.Sprintf("\nphalanx_workers_stale %d\n", n))
		}
	}
	harness.Await(t, 5*time.Second, "both workers counted, as PhalanxReleaseRefused does", stale(2))
	swapLink(t, link, "releases/1")
	harness.Await(t, 5*time.Second, "the next release", func() bool {
		return s.MustGet("/page.txt").Header.Get("X-Release") == "b" && len(e.Pool().Problems) == 0
	})
	harness.Await(t, 5*time.Second, "no worker counted", stale(0))
	s.AwaitText("release in service")
	if n := strings.Count(s.Log.String(), "stays in service"); n != 1 {
		t.Errorf("%d lines say that the previous release stays in service, want 1", n)
	}
}
