package observe

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// slowPause is how long a part of a request takes that is slow.
const slowPause = 1200 * time.Millisecond

// dribble sends a request of which each byte comes soon, and the last one late.
func dribble(c *harness.Client) error {
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

// hesitate reads nothing for a while.
func hesitate(c *harness.Client) error {
	if err := c.Send(harness.Request("GET", "/huge", "Connection: close")); err != nil {
		return err
	}
	time.Sleep(slowPause)
	_, err := c.Reply("GET")
	return err
}

// ponder is idle between two requests, which is the time of neither.
func ponder(c *harness.Client) error {
	if _, err := c.Ask(harness.Request("GET", "/")); err != nil {
		return err
	}
	time.Sleep(slowPause)
	_, err := c.Ask(harness.Request("GET", "/", "Connection: close"))
	return err
}

// TestSlowPartIsLogged has requests that take more than a second say which part of them was
// slow, and others nothing; also when another worker takes them over meanwhile.
func TestSlowPartIsLogged(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 64<<20)
	eachVariant(t, func(t *testing.T, args []string) {
		s := harness.Serve(t, base, args...)
		for part, ask := range map[string]func(c *harness.Client) error{"receive": dribble, "send": hesitate, "": ponder} {
			t.Run("part "+part, func(t *testing.T) {
				t.Parallel()
				checkSlow(s, t, part, ask)
			})
		}
	})
	t.Run("moved", func(t *testing.T) {
		t.Parallel()
		s := harness.Serve(t, base, "--workers", "2")
		for part, ask := range map[string]func(c *harness.Client) error{"receive": dribble, "send": hesitate, "": ponder} {
			t.Run("part "+part, func(t *testing.T) {
				t.Parallel()
				checkSlow(s, t, part, ask)
			})
		}
		t.Run("meanwhile", func(t *testing.T) {
			t.Parallel()
			old := s.Workers()
			time.Sleep(slowPause / 2)
			s.Signal(syscall.SIGHUP)
			s.AwaitWorkers(2, old...)
		})
	})
}

// checkSlow looks at the line of a request; part is empty for one that was fast.
func checkSlow(s *harness.Server, t *testing.T, part string, ask func(c *harness.Client) error) {
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
		if e := lastRequestOf(s, c); e["slow"] != nil || e.Number("ms") > 1000 {
			t.Errorf("the line of a fast request is %v", e)
		}
		return
	}
	e := s.AwaitRequestOf(c)
	all, _ := e["ms"].(float64)
	lasted, _ := e["slow_ms"].(float64)
	if e.Text("slow") != part || lasted < 1000 || lasted > all || lasted < all*0.9 {
		t.Errorf("slow part %q: %v", part, e)
	}
}

// lastRequestOf waits for the second line of a client.
func lastRequestOf(s *harness.Server, c *harness.Client) (last harness.Event) {
	s.T.Helper()
	s.Log.Await(s.T, 10*time.Second, "second line of "+c.LocalAddr().String(), s.Exited, func(all []harness.Event) bool {
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

// TestDeathNamesRequest kills a worker in a long download: the line of its death says
// what it was at, and what has become of it.
func TestDeathNamesRequest(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "huge"), 1<<30)
	eachVariant(t, func(t *testing.T, args []string) {
		o := harness.Operated(t, harness.Plan{Args: append(args, "--base", base)})
		o.Begin("/huge?a%20b", 16<<10)
		victim := 0
		harness.Await(t, 10*time.Second, "a worker that is seen to be at the download", func() bool {
			for _, w := range o.Look().Workers {
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
			became = `worker \d \(pid \d+\) rescued 1 connection after \d+ms`
		}
		line := regexp.MustCompile(fmt.Sprintf(
			`(?m)^phalanx: worker \d \(pid %d\) died: killed by SIGKILL; .*oldest request "GET /huge\?a%%20b" \(\ds\); %s$`, victim, became))
		harness.Await(t, 10*time.Second, "a line that names the download, and what became of it", func() bool { return line.MatchString(o.Log.String()) })
		o.MustServe("/", "front")
		if n := strings.Count(o.Log.String(), "\n"); n != 1 {
			t.Errorf("standard error has %d lines, want 1", n)
		}
	})
}
