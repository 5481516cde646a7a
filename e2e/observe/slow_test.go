package observe

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// slowPause is the duration of the slow part of a request.
const slowPause = 1200 * time.Millisecond

// sendSlowly sends a request byte by byte, so that its receipt is slow.
func sendSlowly(c *harness.Client) error {
	text := harness.Request("GET", "/", "Connection: close")
	for i := range text {
		if err := c.Send(text[i : i+1]); err != nil {
			return err
		}
		time.Sleep(slowPause / time.Duration(len(text)))
	}
	_, err := c.Reply("GET")
	return err
}

// readLate waits before it reads the response.
func readLate(c *harness.Client) error {
	if err := c.Send(harness.Request("GET", "/huge", "Connection: close")); err != nil {
		return err
	}
	time.Sleep(slowPause)
	_, err := c.Reply("GET")
	return err
}

// idleBetween is idle between two requests, which counts for neither.
func idleBetween(c *harness.Client) error {
	if _, err := c.Ask(harness.Request("GET", "/")); err != nil {
		return err
	}
	time.Sleep(slowPause)
	_, err := c.Ask(harness.Request("GET", "/", "Connection: close"))
	return err
}

// TestSlowPartIsLogged checks that requests of more than a second are logged with the part that was slow,
// and others without, also when another worker takes them over meanwhile.
func TestSlowPartIsLogged(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 64<<20)
	parts := map[string]func(c *harness.Client) error{"receive": sendSlowly, "send": readLate, "": idleBetween}
	eachVariant(t, func(t *testing.T, args []string) {
		s := harness.Serve(t, base, args...)
		for part, ask := range parts {
			t.Run("part "+part, func(t *testing.T) {
				t.Parallel()
				checkSlow(s, t, part, ask, func() {})
			})
		}
	})
	for part, ask := range parts {
		t.Run("moved, part "+part, func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, base, "--workers", "2")
			checkSlow(s, t, part, ask, func() {
				time.Sleep(slowPause / 2)
				s.Replace(syscall.SIGHUP, 2)
			})
		})
	}
}

// checkSlow checks the log line of a request. part is empty for a fast one. On a busy machine any part can
// be slow, so up to three requests are made.
func checkSlow(s *harness.Server, t *testing.T, part string, ask func(c *harness.Client) error, meanwhile func()) {
	t.Helper()
	var e harness.Event
	for range 3 {
		var joined sync.WaitGroup
		joined.Go(meanwhile)
		e = lineOf(s, t, part, ask)
		if joined.Wait(); isSlow(e, part) {
			return
		}
	}
	t.Errorf("a request with slow part %q is logged as %v", part, e)
}

// isSlow reports whether a log line says which part was slow, and for how long.
func isSlow(e harness.Event, part string) bool {
	all, _ := e["ms"].(float64)
	lasted, _ := e["slow_ms"].(float64)
	if part == "" {
		return e["slow"] == nil && all <= 1000
	}
	return e.Text("slow") == part && lasted >= 1000 && lasted <= all && lasted >= all*0.9
}

// lineOf makes a request, or two if part is empty, and returns the last one's log line.
func lineOf(s *harness.Server, t *testing.T, part string, ask func(c *harness.Client) error) harness.Event {
	t.Helper()
	c, err := harness.ConnectNarrow(s.Port, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := ask(c); err != nil {
		t.Fatal(err)
	}
	if part == "" {
		return lastRequestOf(s, c)
	}
	return s.AwaitRequestOf(c)
}

// lastRequestOf waits for the second request line of a client, and returns it.
func lastRequestOf(s *harness.Server, c *harness.Client) (last harness.Event) {
	s.T.Helper()
	s.Log.Await(s.T, 10*time.Second, "a second request line of "+c.LocalAddr().String(), s.Exited, func(all []harness.Event) bool {
		n := 0
		for _, e := range harness.WithMessage(all, "request") {
			if e.Text("client") == c.LocalAddr().String() {
				n, last = n+1, e
			}
		}
		return n == 2
	})
	return last
}

// TestDeathNamesRequest kills a worker during a long download: the line about its death names the request
// and says what became of it.
func TestDeathNamesRequest(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 1<<30)
	eachVariant(t, func(t *testing.T, args []string) {
		o := harness.Operated(t, harness.Plan{Args: append(args, "--base", base)})
		o.Begin("/huge?a%20b", 16<<10)
		victim := 0
		harness.Await(t, 10*time.Second, "a worker with the download in the pool's status", func() bool {
			for _, w := range o.Snapshot().Workers {
				if w.Oldest != nil && strings.Contains(w.Oldest.Line, "GET /huge?a%20b") && w.Oldest.Age >= 1 {
					victim = w.PID
				}
			}
			return victim != 0
		})
		harness.Kill(t, victim, syscall.SIGKILL)
		harness.AwaitEnd(t, 5*time.Second, victim)
		became := "respawning"
		if strings.Contains(strings.Join(args, " "), "--workers 2") { // only an event loop's connections are rescued
			// In two lines if it took more than three seconds.
			became = `(?:worker \d \(pid \d+\) rescued 1 connection|respawning\nphalanx: worker \d \(pid \d+\) rescued 1 connection of worker \d \(pid \d+\)) after \S+s`
		}
		line := regexp.MustCompile(fmt.Sprintf(
			`(?m)^phalanx: worker \d \(pid %d\) died: killed by SIGKILL; .*oldest request "GET /huge\?a%%20b" \(\S+s\); %s$`, victim, became))
		harness.Await(t, 10*time.Second, "a line with the download and what became of it", func() bool { return line.MatchString(o.Log.String()) })
		o.MustServe("/", "front")
		if rest := line.ReplaceAllString(o.Log.String(), ""); rest != "\n" {
			t.Errorf("standard error has more than that line: %q", rest)
		}
	})
}
