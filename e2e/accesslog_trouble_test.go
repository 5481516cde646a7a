package e2e

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
)

// longAsk is one request of some 7 KiB, and so is its line.
func (s *server) longAsk(c *client, i int) {
	s.t.Helper()
	if r := s.mustAsk(c, request("GET", fmt.Sprintf("/r%d?%s", i, strings.Repeat("x", 7000)))); r.status != 404 {
		s.t.Fatalf("request %d: %d", i, r.status)
	}
}

// overflow asks until lines have been lost; each request is answered at once.
func (o *operator) overflow() {
	o.t.Helper()
	c := o.dial()
	for i := range 20_000 {
		began := time.Now()
		o.longAsk(c, i)
		if took := time.Since(began); took > 2*time.Second {
			o.t.Errorf("request %d took %v", i, took)
		}
		if i%100 == 99 && o.lost() >= 100 {
			return
		}
	}
	o.t.Fatal("no line is lost")
}

func (o *operator) lost() int { return int(o.mustScrape().sum("phalanx_access_log_lost_lines_total")) }

// crampedDisk is where there is little room, until there is more.
type crampedDisk struct {
	before []string             // starts the server
	dir    string               // as the server sees it
	words  string               // when it is full
	path   func(*server) string // of the log, as the test sees it
	room   func(*server)
}

// cramped is a small file system in the server's own mount namespace or, where
// that is not allowed, a limit on the size of its files.
func cramped(t *testing.T) crampedDisk {
	t.Helper()
	dir := dirIn(t, memory)
	const tmpfs = `mount -t tmpfs -o size=16m none "$1" && dd if=/dev/zero of="$1/filler" bs=64k count=255 2>/dev/null && `
	enter := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		enter = append(enter, "--map-root-user")
	}
	if exec.Command(enter[0], append(enter[1:], "sh", "-c", tmpfs+"true", "sh", dir)...).Run() == nil {
		inside := func(s *server, name string) string {
			return filepath.Join(fmt.Sprintf("/proc/%d/root", s.pid()), dir, name)
		}
		return crampedDisk{
			dir: dir, words: "no space left on device",
			before: append(enter, "sh", "-c", tmpfs+`shift && exec "$@"`, "sh", dir),
			path:   func(s *server) string { return inside(s, "log") },
			room: func(s *server) {
				if err := os.Remove(inside(s, "filler")); err != nil {
					t.Fatal(err)
				}
			},
		}
	}
	limit := func(s *server, bytes uint64) {
		if err := unix.Prlimit(s.pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return crampedDisk{
		dir: dir, words: "file too large",
		path: func(s *server) string { limit(s, 64<<10); return filepath.Join(dir, "log") },
		room: func(s *server) { limit(s, unix.RLIM_INFINITY) },
	}
}

// upgrade replaces the program and the workers. Lines that are lost are counted on.
func (o *operator) upgrade() {
	o.t.Helper()
	lost, old := o.lost(), o.workers()
	o.signal(syscall.SIGUSR2)
	o.reloaded(old)
	if now := o.lost(); now < lost {
		o.t.Errorf("%d lines were lost before the upgrade, and %d after it", lost, now)
	}
}

// TestAccessLogDiskFull fills the disk: serving goes on, lines that are lost
// are counted, and when there is room the log goes on with all that were kept,
// even by another program.
func TestAccessLogDiskFull(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--workers", "2"}, {"--model", "goroutine"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			disk := cramped(t)
			o := operated(t, plan{before: disk.before, args: append(args, "--base", tree(t, nil), "--access-log", filepath.Join(disk.dir, "log"))})
			path := disk.path(o.server)
			o.overflow()
			if text := o.log.String(); !strings.Contains(text, "phalanx: access log: write ") || !strings.Contains(text, disk.words) {
				t.Errorf("standard error has %q, want a line that says %q", text, disk.words)
			}
			if disk.before != nil { // a limit on files is one on the memory of new workers too
				o.upgrade()
			}
			disk.room(o.server)
			await(t, 10*time.Second, "the lines that were kept", func() bool {
				return countLines(path)+o.lost() == int(o.look().Total.Answered)
			})
			lost, before := o.lost(), countLines(path)
			o.longAsk(o.dial(), -1)
			lines := awaitLines(t, path, before+1)
			for _, line := range lines {
				if _, _, err := readLogged("combined", line); err != nil {
					t.Error(err)
				}
			}
			if !strings.Contains(lines[before], `"GET /r-1?`) || o.lost() != lost {
				t.Errorf("the last line is %.100q; %d lines are lost, and were %d", lines[before], o.lost(), lost)
			}
			o.server.stop(5 * time.Second)
		})
	}
}

// fifo makes one and opens both of its ends, so that nobody waits.
func fifo(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(openDir(t), "fifo")
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

// TestAccessLogReaderStuck logs into a FIFO whose reader reads nothing for a
// while: the same as for a disk that is full.
func TestAccessLogReaderStuck(t *testing.T) {
	t.Parallel()
	f := fifo(t)
	o := operated(t, plan{args: []string{"--base", tree(t, nil), "--workers", "2", "--access-log", f.Name()}})
	o.overflow()
	o.upgrade()
	got := newJournal()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(got, f) // until it is closed
	}()
	complete := func() bool { return len(got.lines())+o.lost() == int(o.look().Total.Answered) }
	await(t, 10*time.Second, "the lines that were kept", complete)
	lost := o.lost()
	o.longAsk(o.dial(), -1)
	await(t, 5*time.Second, "a line more", complete)
	if o.lost() != lost {
		t.Errorf("%d lines are lost, and were %d", o.lost(), lost)
	}
	o.server.stop(5 * time.Second)
	f.Close()
	<-done
	for _, line := range got.lines() {
		if _, _, err := readLogged("combined", line); err != nil {
			t.Error(err)
		}
	}
}

// TestAccessLogOut logs to standard output, across an upgrade.
func TestAccessLogOut(t *testing.T) {
	t.Parallel()
	dir := copies(t, "master", "worker")
	s := serveSilently(t, plan{binary: filepath.Join(dir, "master"), args: []string{"--base", tree(t, nil), "--workers", "2", "--access-log", "-"}})
	o := &operator{server: s}
	c := chat(s.port, 2)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGUSR2} {
		at, old := c.sofar(), s.workers()
		s.signal(sig)
		if sig != syscall.SIGUSR1 {
			o.reloaded(old)
		}
		await(t, 10*time.Second, "some replies more", func() bool { return c.sofar() > at+100 })
	}
	c.leave(t)
	s.stop(5 * time.Second)
	c.check(t, s.out.lines())
	if text := s.log.String(); text != "" {
		t.Errorf("standard error has %q", text)
	}
}

// TestAccessLogUpgrade replaces the program twice while all workers write: each
// reply has its line.
func TestAccessLogUpgrade(t *testing.T) {
	t.Parallel()
	dir := copies(t, "master", "worker")
	path := filepath.Join(dirIn(t, memory), "log")
	o := operated(t, plan{binary: filepath.Join(dir, "master"), args: []string{"--base", tree(t, nil), "--workers", "2", "--access-log", path}})
	c := chat(o.port, 3)
	for range 2 {
		at, old := c.sofar(), o.workers()
		o.signal(syscall.SIGUSR2)
		o.reloaded(old)
		await(t, 10*time.Second, "some replies more", func() bool { return c.sofar() > at+200 })
	}
	c.leave(t)
	if lost := o.lost(); lost != 0 {
		t.Errorf("%d lines are lost", lost)
	}
	o.server.stop(5 * time.Second)
	c.check(t, linesOf(t, path))
}

// TestAccessLogUnwritable names files that cannot be written.
func TestAccessLogUnwritable(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	dir := openDir(t)
	for path, word := range map[string]string{
		filepath.Join(dir, "none", "log"): "no such file or directory", dir: "is a directory", filepath.Join(dir, "log"): "permission denied",
	} {
		o := attempt(t, plan{nobody: true, args: []string{"--port", "0", "--base", base, "--access-log", path}})
		if o.code != 1 && o.code != 78 {
			t.Errorf("exit status %d, want 1 or 78", o.code)
		}
		o.rejects(t, o.code, "access log", path, word)
	}
}

// TestAccessLogSwitched switches the log on, to another file and format, and
// off again, by a file of settings: from the moment that the workers are new,
// every reply has its line. A file that cannot be written changes nothing.
func TestAccessLogSwitched(t *testing.T) {
	t.Parallel()
	dir := dirIn(t, memory)
	config, first, second := filepath.Join(dir, "config"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	write(t, config, []byte("workers = 2\n"))
	s := serveSilently(t, plan{args: []string{"--base", tree(t, nil), "--config", config}})
	o := &operator{server: s}
	turn := func(settings string) *talk {
		t.Helper()
		write(t, config, []byte("workers = 2\n"+settings))
		old := s.workers()
		s.signal(syscall.SIGHUP)
		o.reloaded(old)
		c := chat(s.port, 2)
		await(t, 10*time.Second, "some replies", func() bool { return c.sofar() > 100 })
		c.leave(t)
		return c
	}
	logs := turn("access-log = " + first + "\n")
	await(t, 5*time.Second, "the lines", func() bool { return countLines(first) == logs.sofar() })
	logs.check(t, linesOf(t, first))

	write(t, config, []byte("workers = 2\naccess-log = "+dir+"/none/log\n"))
	s.signal(syscall.SIGHUP)
	await(t, 5*time.Second, "a line of complaint", func() bool { return strings.Contains(s.log.String(), "no such file") })
	if text := s.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, dir+"/none/log") {
		t.Errorf("standard error has %q, want one line with the path", text)
	}

	logs2 := turn("access-log = " + second + "\naccess-log-format = json\n")
	for i, line := range awaitLines(t, second, logs2.sofar()) {
		if _, _, err := readLogged("json", line); err != nil || i >= logs2.sofar() {
			t.Errorf("line %d: %v", i, err)
		}
	}
	turn("")
	s.stop(5 * time.Second)
	if a, b := len(linesOf(t, first)), len(linesOf(t, second)); a != logs.sofar() || b != logs2.sofar() {
		t.Errorf("the files have %d and %d lines, want %d and %d", a, b, logs.sofar(), logs2.sofar())
	}
}
