package pool

import (
	"bytes"
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

// TestUnreadStandardError lets nobody read what the master says, in a pipe that is
// full before it starts: it starts, replaces dead workers, reloads and stops.
// What it has said, before an upgrade too, is there for who reads it late.
func TestUnreadStandardError(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	full := make([]byte, 4096)
	fd := int(w.Fd()) // once: it makes the file block
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
	old = s.AwaitWorkers(2, old[0])
	s.MustServe("/", "front")
	s.Signal(syscall.SIGHUP)
	s.AwaitWorkers(2, old...)
	s.MustServe("/", "front")
	old = s.Workers()
	s.Signal(syscall.SIGUSR2)
	s.AwaitWorkers(2, old...)
	text := make(chan string)
	go func() {
		said, _ := io.ReadAll(r) // until both ends have been closed
		text <- string(bytes.TrimLeft(said, "\x00"))
	}()
	s.Signal(syscall.SIGTERM)
	if code := s.Wait(10 * time.Second); code != 0 {
		t.Errorf("exit status %d", code)
	}
	w.Close()
	said, at := <-text, 0
	for _, message := range []string{"executing new master", "master upgraded", "stopped"} {
		next := strings.Index(said[at:], `"`+message+`"`)
		if next < 0 {
			t.Errorf("no %q in what was read late:\n%s", message, said)
			break
		}
		at += next
	}
}
