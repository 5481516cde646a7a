package http

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// traced counts a worker's system calls by name.
type traced map[string]int

// trace counts the system calls of a process while something runs, and returns how long that took.
func trace(t *testing.T, pid int, something func()) (calls traced, took time.Duration) {
	t.Helper()
	strace := harness.Tool(t, "apt-get install strace", "strace")
	out := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command(strace, "-f", "-qq", "-o", out, "-p", strconv.Itoa(pid))
	var errors bytes.Buffer
	cmd.Stderr = &errors
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 5*time.Second, "strace attached to every thread", func() bool { return allTraced(pid) })
	began := time.Now()
	something()
	// strace detaches from the process on SIGINT and exits.
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v: %s", err, errors.String())
	}
	took, calls = time.Since(began), traced{}
	begins := regexp.MustCompile(`(?m)^\d+ +(\w+)\(`)
	for _, m := range begins.FindAllSubmatch(text, -1) {
		calls[string(m[1])]++
	}
	return calls, took
}

// allTraced reports whether all threads of a process are traced.
func allTraced(pid int) bool {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "TracerPid:\t0\n") {
			return false
		}
	}
	return len(files) > 0
}

// TestSystemCalls counts the system calls of a worker of the process model: a small file on a persistent
// connection takes one read and one write and opens nothing; a large file is sent by sendfile(2) and
// never read.
func TestSystemCalls(t *testing.T) {
	base := harness.SiteDir(t) // files that are old enough to be cached
	const times = 100
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--workers", "1"}})
	pid := s.Workers()[0]
	c := s.Dial()
	s.MustAsk(c, harness.Request("GET", "/robots.txt"))

	calls, took := trace(t, pid, func() {
		for range times {
			s.MustAsk(c, harness.Request("GET", "/robots.txt"))
		}
	})
	if calls["read"] < times || calls["read"] > times+times/10 || calls["sendto"] != times {
		t.Errorf("%d requests took %d reads and %d writes, want one of each per request", times, calls["read"], calls["sendto"])
	}
	// If the client is slow, the loop waits for the next request again every 10 ms, and so does Go's runtime.
	late := 2 * int(took/(10*time.Millisecond))
	if waits := calls["epoll_wait"] + calls["epoll_pwait"]; waits > times+times/4+late {
		t.Errorf("%d requests took %d waits in %v, want about one per request", times, waits, took)
	}
	few := times/10 + int(took/time.Second) // a cached file is checked once a second
	if calls["openat2"] > few || calls["pread64"] > few || calls["epoll_ctl"] > few {
		t.Errorf("%d requests opened files or changed the epoll set in %v: %v", times, took, calls)
	}

	c = s.Dial()
	calls, _ = trace(t, pid, func() { s.MustAsk(c, harness.Request("GET", "/media/lyre.wav")) })
	if calls["sendfile"] == 0 || calls["pread64"] > 2 {
		t.Errorf("a large file took %v, want sendfile and at most 2 reads", calls)
	}

	calls, took = trace(t, pid, func() {
		for range times {
			c := s.Dial()
			s.MustAsk(c, harness.Request("GET", "/robots.txt", "Connection: close"))
			s.MustEnd(c, 5*time.Second, "after the response")
		}
	})
	few = times/10 + int(took/time.Second)
	if calls["accept4"] > 2*times+times/10 || calls["sendto"] != times || calls["close"] < times || calls["close"] > times+few {
		t.Errorf("%d connections took %v, want at most 2 accepts, one write and one close each", times, calls)
	}
	if calls["setsockopt"]+calls["getsockopt"]+calls["fcntl"]+calls["shutdown"] > times/10 {
		t.Errorf("%d connections took %v, want no calls for socket options or shutdown", times, calls)
	}
}
