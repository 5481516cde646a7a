package observe

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// TestLogInTmux reads the log of -v on a terminal: each request is one row, which shows the end of a
// path that is too long, and uses a window that has become wider.
func TestLogInTmux(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	port := harness.FreePort(t)
	p := openPane(t, 80, 24, "TERM=xterm-256color")
	p.write(fmt.Sprintf("%s %s -p %d -b 127.0.0.1 -v", harness.Binary("master"), base, port))
	p.await("the address", func(screen string) bool { return strings.Contains(screen, "url=http://127.0.0.1:"+strconv.Itoa(port)) })
	get := func(path string) {
		t.Helper()
		r, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	row := func(text string) string {
		t.Helper()
		at := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d w\d+ +` + text + `$`)
		return at.FindString(p.await(text, at.MatchString))
	}
	const end = ` +\d+ k?B +[\d.]+ (µs|ms|s)  127\.0\.0\.1`
	long := "/" + strings.Repeat("directory/", 6) + "the-end"
	get("/")
	get(long)
	first, second := row(`200 GET /`+end), row(`!404 GET …[a-z/]*/the-end`+end)
	if column := func(line string) int { return strings.Index(strings.ReplaceAll(line, "…", "."), " 127.0.0.1") }; len(first) > 82 ||
		len([]rune(first)) != len([]rune(second)) || column(first) < 0 {
		t.Errorf("the rows are too long or not aligned:\n%s\n%s", first, second)
	}
	p.resize(140, 24)
	get(long + "?wide")
	row(`!404 GET ` + long + `\?wide` + end)
	p.press("C-c")
	p.awaitText("stopped")
}

// TestVerboseDrainInTmux drains with -v during downloads: the drain is one line that is updated in
// place, and requests that end meanwhile appear above it.
func TestVerboseDrainInTmux(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/huge.bin", 4<<30)
	port := harness.FreePort(t)
	p := openPane(t, 80, 24, "TERM=xterm-256color")
	p.write(fmt.Sprintf("%s %s -p %d -b 127.0.0.1 -v", harness.Binary("master"), base, port))
	p.awaitText("serving")
	var downloads []*http.Response
	for _, path := range []string{"/huge.bin?first", "/huge.bin?second"} {
		r, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		downloads = append(downloads, r)
	}
	p.press("C-c")
	p.awaitText("draining: 2 connections, 8.")
	downloads[0].Body.Close()
	screen := p.await("one download in the drain line, and a row for the other", func(screen string) bool {
		return strings.Contains(screen, "draining: 1 connection, 4.") && strings.Contains(screen, "/huge.bin?first")
	})
	if n := strings.Count(screen, "draining:"); n != 1 {
		t.Errorf("%d drain lines, want 1:\n%s", n, screen)
	}
	p.press("C-c")
	p.await("the stop instead of the drain line", func(screen string) bool {
		return strings.Contains(screen, "stopped immediately") && !strings.Contains(screen, "draining:")
	})
}
