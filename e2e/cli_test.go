package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// outcome is what a master that did not serve has left.
type outcome struct {
	code     int
	out, err string
}

// attempt runs a master that is expected to end by itself.
func attempt(t *testing.T, p plan) outcome {
	t.Helper()
	s := launch(t, p)
	code := s.wait(20 * time.Second)
	return outcome{code: code, out: s.out.String(), err: s.log.String()}
}

// rejects expects an exit code and one line that holds all of the words.
func (o outcome) rejects(t *testing.T, code int, words ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit status %d, want %d", o.code, code)
	}
	if o.out != "" {
		t.Errorf("standard output %q, want nothing", o.out)
	}
	if strings.Count(o.err, "\n") != 1 || !strings.HasSuffix(o.err, "\n") || !strings.HasPrefix(o.err, "phalanx: ") {
		t.Errorf("standard error %q, want one line that begins with %q", o.err, "phalanx: ")
	}
	for _, word := range words {
		if !strings.Contains(o.err, word) {
			t.Errorf("standard error %q does not mention %q", o.err, word)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	o := attempt(t, plan{args: []string{"--version"}})
	name, number, found := strings.Cut(strings.TrimSpace(o.out), " ")
	if o.code != 0 || o.err != "" || !found || name != "phalanx" || strings.Count(o.out, "\n") != 1 {
		t.Fatalf("%+v, want one line with a name and a version", o)
	}
	s := serve(t, tree(t, map[string]string{"index.html": "front"}))
	if header := s.mustGet("/").header.Get("Server"); header != "phalanx/"+number {
		t.Errorf("the server calls itself %q, --version says %q", header, number)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "-h"} {
		o := attempt(t, plan{args: []string{flag}})
		if o.code != 0 || o.err != "" {
			t.Errorf("%s: exit status %d and %q", flag, o.code, o.err)
		}
		words := []string{
			"--base", "--port", "--bind", "--model", "process", "goroutine", "serial", "--workers", "--recv", "--keepalive",
			"--expires", "-v", "--verbose", "--log-format", "--version", "--help", "--worker ", "xample", "8080", "65536",
			"30s", "12h", "PHALANX_",
		}
		for _, word := range words {
			if !strings.Contains(o.out, word) {
				t.Errorf("%s does not mention %q:\n%s", flag, word, o.out)
			}
		}
		for line := range strings.Lines(o.out) {
			if len(strings.TrimRight(line, "\n")) > 100 {
				t.Errorf("a line of %s is too long: %q", flag, line)
			}
		}
	}
}

// TestUsage gives wrong command lines. The words of each case are the flag,
// the value and the cure.
func TestUsage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		args  []string
		words []string
	}{
		{[]string{"surplus"}, []string{"surplus", "--help"}},
		{[]string{"--port", "0", "two", "left"}, []string{"two", "--help"}},
		{[]string{"--", "-v"}, []string{"-v", "--help"}},
		{[]string{"--nonsense"}, []string{"--nonsense", "--help"}},
		{[]string{"--prot", "80"}, []string{"--prot", "--port"}},
		{[]string{"-x"}, []string{"-x", "--help"}},
		{[]string{"--port"}, []string{"--port", "--help"}},
		{[]string{"--port="}, []string{"--port", "65535"}},
		{[]string{"--port=65536"}, []string{"--port", "65536", "65535"}},
		{[]string{"--port=-1"}, []string{"--port", "-1", "65535"}},
		{[]string{"--port=http"}, []string{"--port", "http", "65535"}},
		{[]string{"--port=80.5"}, []string{"--port", "80.5", "65535"}},
		{[]string{"--workers=-3"}, []string{"--workers", "-3", "1024"}},
		{[]string{"--workers=1025"}, []string{"--workers", "1025", "1024"}},
		{[]string{"--workers=two"}, []string{"--workers", "two", "1024"}},
		{[]string{"--model=serial", "--workers=4"}, []string{"--workers", "4", "serial", "process"}},
		{[]string{"--recv=0"}, []string{"--recv", "0", "16M"}},
		{[]string{"--recv=-1"}, []string{"--recv", "-1", "16M"}},
		{[]string{"--recv=16777217"}, []string{"--recv", "16777217", "16M"}},
		{[]string{"--recv=17M"}, []string{"--recv", "17M", "16M"}},
		{[]string{"--recv=99999999999999999999"}, []string{"--recv", "99999999999999999999", "16M"}},
		{[]string{"--recv=lots"}, []string{"--recv", "lots", "64k"}},
		{[]string{"--keepalive=0s"}, []string{"--keepalive", "0s", "30s"}},
		{[]string{"--keepalive=-1s"}, []string{"--keepalive", "-1s", "30s"}},
		{[]string{"--keepalive=30"}, []string{"--keepalive", "30s"}},
		{[]string{"--expires=-12h"}, []string{"--expires", "-12h", "12h"}},
		{[]string{"--expires=tomorrow"}, []string{"--expires", "tomorrow", "12h"}},
		{[]string{"--model=threads"}, []string{"--model", "threads", "goroutine"}},
		{[]string{"--log-format=xml"}, []string{"--log-format", "xml", "console"}},
		{[]string{"--verbose=loud"}, []string{"--verbose"}},
		{[]string{"--bind=no such host"}, []string{"--bind", "no such host"}},
		{[]string{"--bind=300.1.1.1"}, []string{"--bind", "300.1.1.1"}},
		{[]string{"--base="}, []string{"--base"}},
		{[]string{"--port=1\n2"}, []string{"--port", "65535"}},
		{[]string{"--port=\x1b[2J"}, []string{"--port", "65535"}},
	}
	for _, c := range cases {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			o := attempt(t, plan{args: c.args})
			o.rejects(t, 64, c.words...)
			if strings.ContainsRune(o.err, 0x1b) {
				t.Errorf("the message hands on an escape sequence: %q", o.err)
			}
		})
	}
}

// TestRecvUnits spells sizes as people do.
func TestRecvUnits(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	for _, size := range []string{"1", "64k", "1M", "16M", "16777216"} {
		serve(t, base, "--recv", size).mustServe("/", "front")
	}
}

// TestEnvironment sets every flag by its variable, and then beats each with
// the flag.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	env := []string{
		"PHALANX_BASE=" + base, "PHALANX_PORT=0", "PHALANX_BIND=127.0.0.1", "PHALANX_MODEL=process", "PHALANX_WORKERS=3",
		"PHALANX_RECV=2", "PHALANX_KEEPALIVE=1s", "PHALANX_EXPIRES=90m", "PHALANX_VERBOSE=3", "PHALANX_LOG_FORMAT=json",
		"PHALANX_WORKER=" + filepath.Join(binaries, "worker"),
	}
	s := serveAs(t, plan{env: env, workdir: t.TempDir()})
	if n := len(s.workers()); n != 3 {
		t.Errorf("%d workers, want the 3 of PHALANX_WORKERS", n)
	}
	c := s.dial()
	r := s.mustAsk(c, request("GET", "/"))
	if string(r.body) != "front" {
		t.Errorf("GET /: %q, want the page of PHALANX_BASE", r.body)
	}
	if ahead := moment(t, r, "Expires").Sub(moment(t, r, "Date")); ahead != 90*time.Minute {
		t.Errorf("Expires is %v ahead, want the 90m of PHALANX_EXPIRES", ahead)
	}
	s.mustEnd(c, 4*time.Second, "idle for longer than PHALANX_KEEPALIVE")
	if sizes := s.recvSizes(); sizes[2] == 0 || len(sizes) > 3 {
		t.Errorf("recv() took sizes %v, want 2 of PHALANX_RECV", sizes)
	}
	s.stop(5 * time.Second)

	beaten := append(env, "PHALANX_WORKERS=0", "PHALANX_EXPIRES=2h", "PHALANX_MODEL=serial")
	s = serveAs(t, plan{env: beaten, args: []string{"--model", "goroutine", "--expires", "1h"}})
	if n := len(s.workers()); n != 1 {
		t.Errorf("%d workers, want the one of --model goroutine", n)
	}
	r = s.mustAsk(s.dial(), request("GET", "/"))
	if ahead := moment(t, r, "Expires").Sub(moment(t, r, "Date")); ahead != time.Hour || r.closes() {
		t.Errorf("Expires is %v ahead and the connection closes: %v; want the flags to win", ahead, r.closes())
	}
}

// TestWrongEnvironment names the variable, not a flag that nobody gave.
func TestWrongEnvironment(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{
		"PHALANX_PORT=http", "PHALANX_WORKERS=-1", "PHALANX_RECV=0", "PHALANX_KEEPALIVE=soon", "PHALANX_EXPIRES=-1s",
		"PHALANX_MODEL=thread", "PHALANX_LOG_FORMAT=xml", "PHALANX_VERBOSE=loud", "PHALANX_BIND=nowhere.invalid",
	} {
		name, value, _ := strings.Cut(setting, "=")
		attempt(t, plan{env: []string{setting}}).rejects(t, 64, name, value)
	}
	attempt(t, plan{env: []string{"PHALANX_BASE=/no/such/directory"}}).rejects(t, 78, "/no/such/directory")
	attempt(t, plan{env: []string{"PHALANX_WORKER=/no/such/worker"}}).rejects(t, 78, "/no/such/worker")
}
