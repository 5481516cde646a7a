package logging

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// collected returns a collector that writes to a pipe, and the pipe's reading end.
func collected(t *testing.T, format string, verbose int) (c *Collector, r *os.File) {
	t.Helper()
	r, w := pipe(t)
	to := NewWriter(w, format)
	c, err := NewCollector(to, w, format, verbose, Options{NoColor: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); to.Close() })
	return c, r
}

// worker adds a worker and returns its end of the pipe.
func (c *Collector) worker(t *testing.T, slot, pid int) (*Source, *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(fds[1]), "worker")
	s := c.Add(fds[0], slot, pid)
	t.Cleanup(func() { w.Close(); s.Close() })
	return s, w
}

// await reads until a text arrives.
func await(t *testing.T, r *os.File, text string) (all string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(all, text); time.Sleep(time.Millisecond) {
		if all += drain(t, r); time.Now().After(deadline) {
			t.Fatalf("no %q in %q", text, all)
		}
	}
	return all
}

func logLine(level string, slot, pid int, message string) string {
	return fmt.Sprintf(`{"level":%q,"slot":%d,"pid":%d,"time":"2024-02-29T12:00:00.005+01:00","message":%q}`+"\n", level, slot, pid, message)
}

// Workers' log lines are passed on unchanged. Other output becomes a line in the worker's name.
func TestCollects(t *testing.T) {
	c, r := collected(t, JSON, 1)
	_, one := c.worker(t, 0, 10)
	_, two := c.worker(t, 1, 11)
	fmt.Fprint(one, logLine("info", 0, 10, "a"))
	got := await(t, r, `"a"`)
	fmt.Fprint(two, logLine("info", 0, 10, "forged")+logLine("info", 1, 11, "b"))
	got += await(t, r, "invalid log lines\"}\n")
	if !strings.HasPrefix(got, logLine("info", 0, 10, "a")+logLine("info", 1, 11, "b")) {
		t.Errorf("%s", got)
	}
	forged := strings.Split(got, "\n")[2]
	if !strings.HasPrefix(forged, `{"level":"warn","slot":1,"pid":11,"lines":1,"begin":`) || !strings.HasSuffix(forged, `"message":"worker wrote invalid log lines"}`) {
		t.Errorf("%s", forged)
	}
}

// On a console, lines become rows, and alerts of a silent worker become plain lines that name
// the worker.
func TestCollectsForConsole(t *testing.T) {
	for _, tt := range []struct {
		format  string
		verbose int
		want    string
	}{
		{Console, 1, "12:00:00 w1  !no \\x1b[2J\n"},
		{Console, 0, "phalanx: worker of slot 1: no \\x1b[2J\n"},
	} {
		c, r := collected(t, tt.format, tt.verbose)
		_, w := c.worker(t, 1, 11)
		fmt.Fprint(w, strings.Replace(logLine("warn", 1, 11, "no ESC[2J"), "ESC", `\u001b`, 1))
		if got := await(t, r, "2J"); !strings.HasPrefix(got, strings.TrimSuffix(tt.want, "\n")) {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// A worker's last lines are in the log when Drain returns, even if other processes keep its
// pipe open. So are lines that arrived while the collector was suspended for an upgrade.
func TestDrain(t *testing.T) {
	c, r := collected(t, JSON, 1)
	s, w := c.worker(t, 0, 10)
	c.Suspend()
	const lines = 500
	for i := range lines {
		fmt.Fprint(w, logLine("info", 0, 10, fmt.Sprint("line ", i)))
	}
	if got := drain(t, r); got != "" {
		t.Errorf("the suspended collector writes %q", got)
	}
	c.Resume()
	s.Drain()
	got := await(t, r, fmt.Sprint("line ", lines-1))
	if n := strings.Count(got, "\n"); n != lines {
		t.Errorf("%d lines of %d", n, lines)
	}
}

// A worker that writes as fast as it can does not delay other workers' lines and gets no more
// than its share. The collector is idle afterwards.
func TestFlood(t *testing.T) {
	c, r := collected(t, JSON, 0)
	_, flood := c.worker(t, 0, 10)
	_, quiet := c.worker(t, 1, 11)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		line := []byte(strings.Repeat("x", 4000) + "\n")
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = unix.Pwritev2(int(flood.Fd()), [][]byte{line}, -1, unix.RWF_NOWAIT)
			}
		}
	}()
	got := await(t, r, "invalid")
	fmt.Fprint(quiet, logLine("warn", 1, 11, "quiet"))
	got += await(t, r, "quiet")
	close(stop)
	<-done
	if n := strings.Count(got, "invalid"); n > 50 {
		t.Errorf("%d lines of the flood", n)
	}
}

// While nobody reads the log, lines stay in the workers' pipes, and a worker drops only its
// own.
func TestSlowReaderOfAll(t *testing.T) {
	c, r := collected(t, JSON, 1)
	_, w := c.worker(t, 0, 10)
	line := []byte(logLine("info", 0, 10, strings.Repeat("y", 900)))
	sent, full := 0, time.Now().Add(500*time.Millisecond)
	for time.Now().Before(full) { // nothing is taken for so long
		if n, err := unix.Pwritev2(int(w.Fd()), [][]byte{line}, -1, unix.RWF_NOWAIT); n > 0 && err == nil {
			sent, full = sent+1, time.Now().Add(500*time.Millisecond)
		}
	}
	if sent*len(line) > maxBuffered/2 {
		t.Errorf("%d bytes are accepted although nobody reads", sent*len(line))
	}
	got := ""
	for deadline := time.Now().Add(time.Minute); strings.Count(got, "\n") < sent && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got += drain(t, r)
	}
	if n := strings.Count(got, string(line)); n != sent {
		t.Errorf("%d lines of %d", n, sent)
	}
}
