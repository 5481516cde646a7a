package observe

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// longRequest makes a request of about 7 KiB, whose log line is as long.
func longRequest(s *harness.Server, c *harness.Client, i int) {
	s.T.Helper()
	if r := s.MustAsk(c, harness.Request("GET", fmt.Sprintf("/r%d?%s", i, strings.Repeat("x", 7000)))); r.Status != 404 {
		s.T.Fatalf("request %d: status %d, want 404", i, r.Status)
	}
}

// overflow makes requests until log lines are lost. No request may be delayed.
func overflow(o *harness.Operator) {
	o.T.Helper()
	c := o.Dial()
	for i := range 20_000 {
		began := time.Now()
		longRequest(o.Server, c, i)
		if took := time.Since(began); took > harness.InTime(2*time.Second) {
			o.T.Errorf("request %d took %v, want at most 2 s", i, took)
		}
		if i%100 == 99 && lostLines(o) >= 100 {
			return
		}
	}
	o.T.Fatal("no log lines were lost")
}

func lostLines(o *harness.Operator) int {
	return int(o.MustScrape().Sum("phalanx_access_log_lost_lines_total"))
}

// smallDisk is a directory with little space until free is called.
type smallDisk struct {
	before []string                     // command that starts the server
	dir    string                       // path in the server's namespace
	words  string                       // the error when it is full
	path   func(*harness.Server) string // of the log, in the test's namespace
	free   func(*harness.Server)
}

// newSmallDisk returns a small file system in the server's own mount namespace or, if that is not permitted, a
// directory with a limit on file sizes.
func newSmallDisk(t *testing.T) smallDisk {
	t.Helper()
	dir := harness.MemoryDir(t)
	const tmpfs = `mount -t tmpfs -o size=16m none "$1" && dd if=/dev/zero of="$1/filler" bs=64k count=255 2>/dev/null && `
	enter := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		enter = append(enter, "--map-root-user")
	}
	if exec.Command(enter[0], append(enter[1:], "sh", "-c", tmpfs+"true", "sh", dir)...).Run() == nil {
		inside := func(s *harness.Server, name string) string {
			return filepath.Join(fmt.Sprintf("/proc/%d/root", s.PID()), dir, name)
		}
		return smallDisk{
			dir: dir, words: "no space left on device",
			before: append(enter, "sh", "-c", tmpfs+`shift && exec "$@"`, "sh", dir),
			path:   func(s *harness.Server) string { return inside(s, "log") },
			free: func(s *harness.Server) {
				if err := os.Remove(inside(s, "filler")); err != nil {
					t.Fatal(err)
				}
			},
		}
	}
	limit := func(s *harness.Server, bytes uint64) {
		if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return smallDisk{
		dir: dir, words: "file too large",
		path: func(s *harness.Server) string { limit(s, 64<<10); return filepath.Join(dir, "log") },
		free: func(s *harness.Server) { limit(s, unix.RLIM_INFINITY) },
	}
}

// upgrade upgrades the master and all workers. The count of lost lines must not go down.
func upgrade(o *harness.Operator) {
	o.T.Helper()
	lost, old := lostLines(o), o.Workers()
	o.Signal(syscall.SIGUSR2)
	reloaded(o, old)
	if now := lostLines(o); now < lost {
		o.T.Errorf("%d lost lines were counted before the upgrade and %d after it", lost, now)
	}
}

// TestAccessLogDiskFull fills the disk: the server keeps serving and counts lost lines. Once there is
// space again it writes the lines that it kept, even after an upgrade.
func TestAccessLogDiskFull(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--workers", "2"}, {"--model", "goroutine"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			disk := newSmallDisk(t)
			o := harness.Operated(t, harness.Plan{Before: disk.before, Args: append(args, "--base", harness.Tree(t, nil), "--access-log", filepath.Join(disk.dir, "log"))})
			path := disk.path(o.Server)
			overflow(o)
			o.AwaitText("phalanx: access log: write ")
			o.AwaitText(disk.words)
			if disk.before != nil { // a limit on file sizes also limits the shared memory of new workers
				upgrade(o)
			}
			disk.free(o.Server)
			harness.Await(t, 10*time.Second, "the kept lines in the log", func() bool {
				return countLines(path)+lostLines(o) == int(o.Snapshot().Total.Answered)
			})
			lost, before := lostLines(o), countLines(path)
			longRequest(o.Server, o.Dial(), -1)
			lines := awaitLines(t, path, before+1)
			for _, line := range lines {
				if _, _, err := readLogged("combined", line); err != nil {
					t.Error(err)
				}
			}
			if !strings.Contains(lines[before], `"GET /r-1?`) || lostLines(o) != lost {
				t.Errorf("the last line is %.100q; %d lines are lost, want %d", lines[before], lostLines(o), lost)
			}
			o.Server.Stop(5 * time.Second)
		})
	}
}

// fifo creates a FIFO and opens it for reading and writing, so that opening it again does not block.
func fifo(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(harness.OpenDir(t), "fifo")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestAccessLogReaderStuck logs to a FIFO that nobody reads for a while: the server behaves as for a full
// disk.
func TestAccessLogReaderStuck(t *testing.T) {
	t.Parallel()
	f := fifo(t)
	o := harness.Operated(t, harness.Plan{Args: []string{"--base", harness.Tree(t, nil), "--workers", "2", "--access-log", f.Name()}})
	overflow(o)
	upgrade(o)
	got := harness.NewJournal()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(got, f) // until it is closed
	}()
	complete := func() bool { return strings.Count(got.String(), "\n")+lostLines(o) == int(o.Snapshot().Total.Answered) }
	harness.Await(t, 10*time.Second, "the kept lines in the FIFO", complete)
	lost := lostLines(o)
	longRequest(o.Server, o.Dial(), -1)
	harness.Await(t, 5*time.Second, "one more line", complete)
	if lostLines(o) != lost {
		t.Errorf("%d lines are lost, want %d", lostLines(o), lost)
	}
	o.Server.Stop(5 * time.Second)
	f.Close()
	<-done
	for _, line := range got.Lines() {
		if _, _, err := readLogged("combined", line); err != nil {
			t.Error(err)
		}
	}
}

// TestAccessLogOnStdout logs to standard output through reloads and upgrades.
func TestAccessLogOnStdout(t *testing.T) {
	t.Parallel()
	dir := harness.Copies(t, "master", "worker")
	s := harness.ServeSilently(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: []string{"--base", harness.Tree(t, nil), "--workers", "2", "--access-log", "-"}})
	o := &harness.Operator{Server: s}
	c := startClients(s.Port, 2)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGUSR2} {
		at, old := c.soFar(), s.Workers()
		s.Signal(sig)
		if sig != syscall.SIGUSR1 {
			reloaded(o, old)
		}
		harness.Await(t, 10*time.Second, "100 more responses", func() bool { return c.soFar() > at+100 })
	}
	c.stop(t)
	s.Stop(5 * time.Second)
	c.check(t, s.Out.Lines())
	if text := s.Log.String(); text != "" {
		t.Errorf("standard error has %q, want nothing", text)
	}
}

// TestAccessLogUpgrade upgrades the master twice while all workers write: every response is logged.
func TestAccessLogUpgrade(t *testing.T) {
	t.Parallel()
	dir := harness.Copies(t, "master", "worker")
	path := filepath.Join(harness.MemoryDir(t), "log")
	o := harness.Operated(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: []string{"--base", harness.Tree(t, nil), "--workers", "2", "--access-log", path}})
	c := startClients(o.Port, 3)
	for range 2 {
		at, old := c.soFar(), o.Workers()
		o.Signal(syscall.SIGUSR2)
		reloaded(o, old)
		harness.Await(t, 10*time.Second, "200 more responses", func() bool { return c.soFar() > at+200 })
	}
	c.stop(t)
	if lost := lostLines(o); lost != 0 {
		t.Errorf("%d lines were lost, want none", lost)
	}
	o.Server.Stop(5 * time.Second)
	c.check(t, linesOf(t, path))
}

// TestAccessLogUnwritable refuses to start with a file that cannot be written, and says why.
func TestAccessLogUnwritable(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	dir := harness.OpenDir(t)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for path, word := range map[string]string{
		filepath.Join(dir, "none", "log"): "no such file or directory", dir: "is a directory", filepath.Join(dir, "log"): "permission denied",
	} {
		o := harness.Attempt(t, harness.Plan{Nobody: true, Args: []string{"--port", "0", "--base", base, "--access-log", path}})
		if o.Code != 1 && o.Code != 78 {
			t.Errorf("exit status %d, want 1 or 78", o.Code)
		}
		o.Rejects(t, o.Code, "access log", path, word)
	}
}

// TestAccessLogSwitched changes the access log by reloads: on, to another file and format, and off. Once
// the workers are replaced, every response is logged there. A file that cannot be written changes
// nothing.
func TestAccessLogSwitched(t *testing.T) {
	t.Parallel()
	dir := harness.MemoryDir(t)
	config, first, second := filepath.Join(dir, "config"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	harness.Write(t, config, []byte("workers = 2\n"))
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", harness.Tree(t, nil), "--config", config}})
	o := &harness.Operator{Server: s}
	turn := func(settings string) *logClients {
		t.Helper()
		harness.Write(t, config, []byte("workers = 2\n"+settings))
		old := s.Workers()
		s.Signal(syscall.SIGHUP)
		reloaded(o, old)
		c := startClients(s.Port, 2)
		harness.Await(t, 10*time.Second, "100 responses", func() bool { return c.soFar() > 100 })
		c.stop(t)
		return c
	}
	logs := turn("access-log = " + first + "\n")
	harness.Await(t, 5*time.Second, "a line for each response", func() bool { return countLines(first) == logs.soFar() })
	logs.check(t, linesOf(t, first))

	harness.Write(t, config, []byte("workers = 2\naccess-log = "+dir+"/none/log\n"))
	s.Signal(syscall.SIGHUP)
	harness.Await(t, 5*time.Second, "an error about the file", func() bool { return strings.Contains(s.Log.String(), "no such file") })
	if text := s.Log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, dir+"/none/log") {
		t.Errorf("standard error has %q, want one line with the path", text)
	}

	logs2 := turn("access-log = " + second + "\naccess-log-format = json\n")
	for i, line := range awaitLines(t, second, logs2.soFar()) {
		if _, _, err := readLogged("json", line); err != nil || i >= logs2.soFar() {
			t.Errorf("line %d: %v", i, err)
		}
	}
	turn("")
	s.Stop(5 * time.Second)
	if a, b := len(linesOf(t, first)), len(linesOf(t, second)); a != logs.soFar() || b != logs2.soFar() {
		t.Errorf("the files have %d and %d lines, want %d and %d", a, b, logs.soFar(), logs2.soFar())
	}
}
