package pool

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// TestUnreadStandardError gives the server a full pipe as standard error, which nobody reads: it starts,
// replaces dead workers, reloads, upgrades and stops. A late reader gets the log lines from before and after
// the upgrade.
func TestUnreadStandardError(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	full := make([]byte, 4096)
	fd := int(w.Fd()) // once, because Fd makes the file blocking
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = unix.Write(fd, full)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	port := harness.FreePort(t)
	s := harness.Launch(t, harness.Plan{Err: w, Args: []string{
		"-vvv", "--base", base, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--workers", "2",
	}})
	s.Port = port
	s.AwaitAnswer()
	old := s.AwaitWorkers(2)
	harness.Kill(t, old[0], syscall.SIGKILL)
	s.AwaitWorkers(2, old[0])
	s.MustServe("/", "front")
	s.Replace(syscall.SIGHUP, 2)
	s.MustServe("/", "front")
	s.Replace(syscall.SIGUSR2, 2)
	late, ended := harness.NewJournal(), make(chan struct{})
	go func() {
		_, _ = io.Copy(late, r) // until all writing ends are closed
		close(ended)
	}()
	// The master waits for its reader for a second when it exits, and a busy machine may need more.
	harness.Await(t, 10*time.Second, "a reader that has caught up", func() bool { return strings.Contains(late.String(), `"master upgraded"`) })
	s.Signal(syscall.SIGTERM)
	s.MustExit(10 * time.Second)
	w.Close()
	<-ended
	printed, at := strings.TrimLeft(late.String(), "\x00"), 0
	for _, message := range []string{"executing new master", "master upgraded", "stopped"} {
		next := strings.Index(printed[at:], `"`+message+`"`)
		if next < 0 {
			t.Errorf("the late reader did not get %q, or not in order:\n%s", message, printed)
			break
		}
		at += next
	}
}
