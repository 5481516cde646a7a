package observe

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// variants returns the models and engines that log requests in different ways.
func variants() [][]string {
	return [][]string{{"--workers", "2"}, {"--model", "goroutine"}, {"--engine", "netpoll", "--workers", "1"}}
}

// eachVariant runs a test for all variants in parallel.
func eachVariant(t *testing.T, test func(t *testing.T, args []string)) {
	t.Helper()
	for _, args := range variants() {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			test(t, args)
		})
	}
}

// TestRequestID compares the ID in the log with the one in the response: the client's own if it is valid,
// else a new unique one.
func TestRequestID(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	made := regexp.MustCompile(`^[0-9a-f]{32}$`)
	eachVariant(t, func(t *testing.T, args []string) {
		path := filepath.Join(harness.MemoryDir(t), "log")
		s := harness.Serve(t, base, append(args, "--access-log", path, "--access-log-format", "json")...)
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
			conn := s.Dial()
			fields := []string{"Connection: close"}
			if c.sent != "" {
				fields = append(fields, "X-Request-Id: "+c.sent)
			}
			r := s.MustAsk(conn, harness.Request("GET", c.target, fields...))
			id := r.Header.Get("X-Request-Id")
			switch {
			case c.taken && id != c.sent:
				t.Errorf("X-Request-Id %q became %q", c.sent, id)
			case !c.taken && !made.MatchString(id), len(r.Header.Values("X-Request-Id")) != 1, seen[id]:
				t.Errorf("X-Request-Id %q became %q, want one new unique ID", c.sent, r.Header.Values("X-Request-Id"))
			}
			seen[id] = true
			ids = append(ids, id)
			if e := s.AwaitRequestOf(conn); e.Text("id") != id {
				t.Errorf("the response has the ID %q, its log line is %v", id, e)
			}
		}
		numbersPipeline(s, t, seen)
		s.Stop(5 * time.Second)
		text := strings.Join(linesOf(t, path), "\n")
		for _, id := range ids {
			if strings.Count(text, `"request_id":"`+id+`"`) != 1 {
				t.Errorf("the access log does not have the ID %q exactly once", id)
			}
		}
	})
}

// numbersPipeline checks that every request on a connection has an ID of its own, even one that is
// refused.
func numbersPipeline(s *harness.Server, t *testing.T, seen map[string]bool) {
	t.Helper()
	c := s.Dial()
	defer c.Close() // the server waits for it
	if err := c.Send(harness.Request("GET", "/") + harness.Request("HEAD", "/none") + harness.Request("GET", "/", "X-Request-Id: mine") + "nonsense\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for i, method := range []string{"GET", "HEAD", "GET", "GET"} {
		r, err := c.Reply(method)
		if err != nil {
			t.Fatal(err)
		}
		if id := r.Header.Get("X-Request-Id"); id == "" || seen[id] || (i == 2) != (id == "mine") {
			t.Errorf("request %d of four has the ID %q", i, id)
		} else {
			seen[id] = true
		}
	}
}
