package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// variants are the ways of serving that see into a request differently.
func variants() [][]string {
	return [][]string{{"--workers", "2"}, {"--model", "goroutine"}, {"--engine", "netpoll", "--workers", "1"}}
}

// eachVariant runs a test for all of them at the same time.
func eachVariant(t *testing.T, test func(t *testing.T, args []string)) {
	t.Helper()
	for _, args := range variants() {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			test(t, args)
		})
	}
}

// TestRequestID compares the id in the log with that in the reply: the client's
// own if it is one, and else one that nobody else has.
func TestRequestID(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	made := regexp.MustCompile(`^[0-9a-f]{32}$`)
	eachVariant(t, func(t *testing.T, args []string) {
		path := filepath.Join(dirIn(t, memory), "log")
		s := serve(t, base, append(args, "--access-log", path, "--access-log-format", "json")...)
		seen := map[string]bool{}
		var ids []string
		for _, c := range []struct {
			target, sent string
			taken        bool
		}{
			{"/", "", false}, {"/", "", false}, {"/none", "", false}, {"/", "0f8fad5b-d9cb-469f-a165-70867728950e", true},
			{"/none", "Root=1-67891233-abcdef012345678912345678", true}, {"/", "A.b_C:d/e+f=@-", true}, {"/", strings.Repeat("x", 128), true},
			{"/", strings.Repeat("x", 129), false}, {"/", `a"b`, false}, {"/", "a b", false}, {"/", "caf\xc3\xa9", false}, {"/", "\xff", false},
			{"/", "<script>", false}, {"/", "a,b", false},
		} {
			conn := s.dial()
			fields := []string{"Connection: close"}
			if c.sent != "" {
				fields = append(fields, "X-Request-Id: "+c.sent)
			}
			r := s.mustAsk(conn, request("GET", c.target, fields...))
			id := r.header.Get("X-Request-Id")
			switch {
			case c.taken && id != c.sent:
				t.Errorf("the id %q became %q", c.sent, id)
			case !c.taken && !made.MatchString(id), len(r.header.Values("X-Request-Id")) != 1, seen[id]:
				t.Errorf("%q got the id %q", c.sent, r.header.Values("X-Request-Id"))
			}
			seen[id] = true
			ids = append(ids, id)
			if e := s.awaitRequestOf(conn); e.text("id") != id {
				t.Errorf("the reply has the id %q, its line %v", id, e)
			}
		}
		s.numbersPipeline(t, seen)
		s.stop(5 * time.Second)
		text := strings.Join(linesOf(t, path), "\n")
		for _, id := range ids {
			if strings.Count(text, `"request_id":"`+id+`"`) != 1 {
				t.Errorf("the access log has %q not once", id)
			}
		}
	})
}

// numbersPipeline expects that requests on one connection have an id each, also
// one that is refused.
func (s *server) numbersPipeline(t *testing.T, seen map[string]bool) {
	t.Helper()
	c := s.dial()
	defer c.Close() // which the server waits for
	if err := c.send(request("GET", "/") + request("HEAD", "/none") + request("GET", "/", "X-Request-Id: mine") + "nonsense\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for i, method := range []string{"GET", "HEAD", "GET", "GET"} {
		r, err := c.reply(method)
		if err != nil {
			t.Fatal(err)
		}
		if id := r.header.Get("X-Request-Id"); id == "" || seen[id] || (i == 2) != (id == "mine") {
			t.Errorf("request %d of four has the id %q", i, id)
		} else {
			seen[id] = true
		}
	}
}

// TestRequestIDFlag looks that ids are there when they are asked for, alone.
func TestRequestIDFlag(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	for _, args := range [][]string{nil, {"--request-id"}} {
		s := serveSilently(t, plan{args: append(args, "--base", base, "--workers", "1")})
		r := s.mustAsk(s.dial(), request("GET", "/", "X-Request-Id: mine", "Connection: close"))
		if id := r.header.Get("X-Request-Id"); (id == "mine") != (args != nil) || args == nil && id != "" {
			t.Errorf("%q: the id is %q", args, id)
		}
	}
}

// slowPause is how long a part of a request takes that is slow.
const slowPause = 1200 * time.Millisecond

// dribble sends a request of which each byte comes soon, and the last one late.
func dribble(c *client) error {
	text := request("GET", "/", "Connection: close")
	for i := range text {
		if err := c.send(text[i : i+1]); err != nil {
			return err
		}
		time.Sleep(slowPause / time.Duration(len(text)))
	}
	_, err := c.reply("GET")
	return err
}

// hesitate reads nothing for a while.
func hesitate(c *client) error {
	if err := c.send(request("GET", "/huge", "Connection: close")); err != nil {
		return err
	}
	time.Sleep(slowPause)
	_, err := c.reply("GET")
	return err
}

// ponder is idle between two requests, which is the time of neither.
func ponder(c *client) error {
	if _, err := c.ask(request("GET", "/")); err != nil {
		return err
	}
	time.Sleep(slowPause)
	_, err := c.ask(request("GET", "/", "Connection: close"))
	return err
}

// TestSlow has requests that take more than a second say which part of them was
// slow, and others nothing; also when another worker takes them over meanwhile.
func TestSlow(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, filepath.Join(base, "huge"), 64<<20)
	eachVariant(t, func(t *testing.T, args []string) {
		s := serve(t, base, args...)
		for part, ask := range map[string]func(c *client) error{"receive": dribble, "send": hesitate, "": ponder} {
			t.Run("part "+part, func(t *testing.T) {
				t.Parallel()
				s.checkSlow(t, part, ask)
			})
		}
	})
	t.Run("moved", func(t *testing.T) {
		t.Parallel()
		s := serve(t, base, "--workers", "2")
		for part, ask := range map[string]func(c *client) error{"receive": dribble, "send": hesitate, "": ponder} {
			t.Run("part "+part, func(t *testing.T) {
				t.Parallel()
				s.checkSlow(t, part, ask)
			})
		}
		t.Run("meanwhile", func(t *testing.T) {
			t.Parallel()
			old := s.workers()
			time.Sleep(slowPause / 2)
			s.signal(syscall.SIGHUP)
			s.awaitWorkers(2, old...)
		})
	})
}

// checkSlow looks at the line of a request; part is empty for one that was fast.
func (s *server) checkSlow(t *testing.T, part string, ask func(c *client) error) {
	t.Helper()
	c, err := connectNarrow(s.port, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := ask(c); err != nil {
		t.Fatal(err)
	}
	if part == "" {
		if e := s.lastRequestOf(c); e["slow"] != nil || e.number("ms") > 1000 {
			t.Errorf("the line of a fast request is %v", e)
		}
		return
	}
	e := s.awaitRequestOf(c)
	all, _ := e["ms"].(float64)
	lasted, _ := e["slow_ms"].(float64)
	if e.text("slow") != part || lasted < 1000 || lasted > all || lasted < all*0.9 {
		t.Errorf("slow part %q: %v", part, e)
	}
}

// lastRequestOf waits for the second line of a client.
func (s *server) lastRequestOf(c *client) (last event) {
	s.t.Helper()
	s.log.await(s.t, 10*time.Second, "second line of "+c.LocalAddr().String(), s.exited, func(all []event) bool {
		n := 0
		for _, e := range withMessage(all, "request") {
			if e.text("client") == c.LocalAddr().String() {
				n, last = n+1, e
			}
		}
		return n == 2
	})
	return last
}

// TestDeathNames kills a worker in a long download: the line of its death says
// what it was at.
func TestDeathNames(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, filepath.Join(base, "huge"), 1<<30)
	eachVariant(t, func(t *testing.T, args []string) {
		o := operated(t, plan{args: append(args, "--base", base)})
		o.begin("/huge?a%20b", 16<<10)
		victim := 0
		await(t, 10*time.Second, "a worker that is seen to be at the download", func() bool {
			for _, w := range o.look().Workers {
				if w.Oldest != nil && strings.Contains(w.Oldest.Line, "GET /huge?a%20b") && w.Oldest.Age >= 1 {
					victim = w.PID
				}
			}
			return victim != 0
		})
		kill(t, victim, syscall.SIGKILL)
		awaitEnd(t, 5*time.Second, victim)
		line := regexp.MustCompile(fmt.Sprintf(
			`(?m)^phalanx: worker \d \(pid %d\) died: signal killed; .*the one under way for longest was at "GET /huge\?a%%20b" for \ds; restarting$`, victim))
		await(t, 5*time.Second, "a line that names the download", func() bool { return line.MatchString(o.log.String()) })
		if n := strings.Count(o.log.String(), "\n"); n != 1 {
			t.Errorf("standard error has %d lines, want one", n)
		}
		o.mustServe("/", "front")
	})
}
