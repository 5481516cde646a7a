package cli

import (
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestVersion compares the version of --version with the Server field, which --server-tokens off shortens.
func TestVersion(t *testing.T) {
	t.Parallel()
	o := harness.Attempt(t, harness.Plan{Args: []string{"--version"}})
	name, number, found := strings.Cut(strings.TrimSpace(o.Out), " ")
	if o.Code != 0 || o.Err != "" || !found || name != "phalanx" || strings.Count(o.Out, "\n") != 1 {
		t.Fatalf("%+v, want one line with a name and a version", o)
	}
	s := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}))
	quiet := harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--server-tokens", "off", "--list")
	for _, target := range []string{"/", "/nothing"} {
		if r := quiet.MustGet(target); r.Header.Get("Server") != "phalanx" || strings.Contains(string(r.Body), number) {
			t.Errorf("%s with --server-tokens off: Server: %q, body %s", target, r.Header.Get("Server"), r.Body)
		}
	}
	if header := s.MustGet("/").Header.Get("Server"); header != "phalanx/"+number {
		t.Errorf("Server: %q, want the version of --version, %q", header, number)
	}
}

// TestInvalidFlags gives invalid command lines. Each message has to contain the words of its case. The tests
// of internal/options cover the values of each flag.
func TestInvalidFlags(t *testing.T) {
	t.Parallel()
	cases := []struct {
		args  []string
		words []string
	}{
		{[]string{"surplus"}, []string{"surplus", "--help"}},
		{[]string{"--port", "0", "two", "left"}, []string{"two", "--help"}},
		{[]string{".", "left"}, []string{"left", "--help"}},
		{[]string{"--", "-v"}, []string{"-v", "--help"}},
		{[]string{"--nonsense"}, []string{"--nonsense", "--help"}},
		{[]string{"--port=65536"}, []string{"--port", "65536", "65535"}},
		{[]string{"--port=1\n2"}, []string{"--port", "65535"}},
		{[]string{"--port=\x1b[2J"}, []string{"--port", "65535"}},
	}
	for _, c := range cases {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			o := harness.Attempt(t, harness.Plan{Args: c.args})
			o.Rejects(t, 64, c.words...)
			if strings.ContainsRune(o.Err, 0x1b) {
				t.Errorf("the message contains an escape sequence: %q", o.Err)
			}
		})
	}
}

// TestRecvUnits gives sizes with and without units.
func TestRecvUnits(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, size := range []string{"1", "64k", "1M", "16M", "16777216"} {
		harness.Serve(t, base, "--recv", size).MustServe("/", "front")
	}
}

// TestVariablesSetFlags sets every flag by its environment variable, and checks that flags override
// variables.
func TestVariablesSetFlags(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	env := []string{
		"PHALANX_BASE=" + base, "PHALANX_PORT=0", "PHALANX_BIND=127.0.0.1", "PHALANX_MODEL=process", "PHALANX_WORKERS=3",
		"PHALANX_RECV=2", "PHALANX_KEEPALIVE=1s", "PHALANX_EXPIRES=90m", "PHALANX_VERBOSE=3", "PHALANX_LOG_FORMAT=json",
		"PHALANX_WORKER=" + harness.Binary("worker"),
	}
	s := harness.ServeAs(t, harness.Plan{Env: env, Workdir: t.TempDir()})
	if n := len(s.Workers()); n != 3 {
		t.Errorf("%d workers, want the 3 of PHALANX_WORKERS", n)
	}
	c := s.Dial()
	r := s.MustAsk(c, harness.Request("GET", "/"))
	if string(r.Body) != "front" {
		t.Errorf("GET /: %q, want the page of PHALANX_BASE", r.Body)
	}
	if ahead := harness.Moment(t, r, "Expires").Sub(harness.Moment(t, r, "Date")); ahead != 90*time.Minute {
		t.Errorf("Expires is %v after Date, want the 90m of PHALANX_EXPIRES", ahead)
	}
	s.MustEnd(c, 4*time.Second, "idle for longer than PHALANX_KEEPALIVE")
	s.Stop(5 * time.Second)
	if sizes := s.RecvSizes(); sizes[2] == 0 || len(sizes) > 3 {
		t.Errorf("recv() calls by size: %v, want sizes up to the 2 of PHALANX_RECV", sizes)
	}

	beaten := append(env, "PHALANX_WORKERS=0", "PHALANX_EXPIRES=2h", "PHALANX_MODEL=serial")
	s = harness.ServeAs(t, harness.Plan{Env: beaten, Args: []string{"--model", "goroutine", "--expires", "1h"}})
	if n := len(s.Workers()); n != 1 {
		t.Errorf("%d workers, want the one of --model goroutine", n)
	}
	r = s.MustAsk(s.Dial(), harness.Request("GET", "/"))
	if ahead := harness.Moment(t, r, "Expires").Sub(harness.Moment(t, r, "Date")); ahead != time.Hour || r.Closes() {
		t.Errorf("Expires is %v after Date, closes %v; want 1h and a persistent connection, as the flags say", ahead, r.Closes())
	}
}

// TestInvalidVariables checks that an invalid value is reported with the name of its variable, not of the
// flag.
func TestInvalidVariables(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{
		"PHALANX_PORT=http", "PHALANX_WORKERS=-1", "PHALANX_RECV=0", "PHALANX_KEEPALIVE=soon", "PHALANX_EXPIRES=-1s",
		"PHALANX_MODEL=thread", "PHALANX_LOG_FORMAT=xml", "PHALANX_VERBOSE=loud", "PHALANX_BIND=nowhere.invalid",
	} {
		name, value, _ := strings.Cut(setting, "=")
		harness.Attempt(t, harness.Plan{Env: []string{setting}}).Rejects(t, 64, name, value)
	}
	harness.Attempt(t, harness.Plan{Env: []string{"PHALANX_BASE=/no/such/directory"}}).Rejects(t, 78, "/no/such/directory")
	harness.Attempt(t, harness.Plan{Env: []string{"PHALANX_WORKER=/no/such/worker"}}).Rejects(t, 78, "/no/such/worker")
}
