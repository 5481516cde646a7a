package accesslog

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/systest"

	"golang.org/x/sys/unix"
)

// text returns n lines of many lengths.
func text(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(numbered(0, i))
	}
	return b.String() + strings.Repeat("long", 2000) + "\nend\n"
}

// stdouts returns the kinds of files that standard output may be, with their other ends.
func stdouts(dir string) []stdout {
	return []stdout{
		{"pipe", func() (out, in *os.File, err error) {
			in, out, err = os.Pipe()
			return out, in, err
		}},
		{"socket", func() (out, in *os.File, err error) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			return os.NewFile(uintptr(fds[0]), "out"), os.NewFile(uintptr(fds[1]), "in"), err
		}},
		{"file", func() (out, in *os.File, err error) {
			if out, err = os.Create(filepath.Join(dir, "out")); err == nil {
				in, err = os.Open(out.Name())
			}
			return out, in, err
		}},
	}
}

type stdout struct {
	name string
	make func() (out, in *os.File, err error)
}

// Standard output may be any file. Its flags do not change for other processes that share it.
func TestStandardOutput(t *testing.T) {
	for _, tt := range stdouts(t.TempDir()) {
		t.Run(tt.name, func(t *testing.T) {
			out, in, err := tt.make()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			flags, err := unix.FcntlInt(out.Fd(), unix.F_GETFL, 0)
			if err != nil {
				t.Fatal(err)
			}
			w := open(t, "-", Config{Stdout: out})
			ring, _ := newRing(t, 512<<10)
			w.Attach(0, ring)
			want := text(3000) // more than a pipe holds
			for line := range strings.Lines(want) {
				write(ring, w.cfg.Doorbell.Out, line)
			}
			if err := w.reopen(); err != nil {
				t.Error(err)
			}
			got := ""
			for buf := make([]byte, 1000); !strings.HasSuffix(got, "\nend\n"); {
				n, err := in.Read(buf)
				if err != nil && err != io.EOF { // a file that is not written yet
					t.Fatal(err)
				}
				got += string(buf[:n])
			}
			if got != want {
				t.Errorf("%d bytes, want %d", len(got), len(want))
			}
			if now, err := unix.FcntlInt(out.Fd(), unix.F_GETFL, 0); now != flags || err != nil {
				t.Errorf("flags are %#x, want %#x as before", now, flags)
			}
			closed(t, w)
			if _, err := out.WriteString("x"); err != nil {
				t.Errorf("standard output is closed: %v", err)
			}
			out.Close()
		})
	}
}

// If the reader is gone, lines are lost and counted, and nothing blocks.
func TestReaderIsGone(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in.Close()
	var alerted alerts
	w := open(t, "-", Config{Stdout: out, Alert: alerted.add})
	ring, _ := newRing(t, MinRing)
	ring.Write([]byte("one\n"))
	ring.Write([]byte("two\n"))
	w.Attach(0, ring)
	systest.Await(t, "an alert", func() bool { return len(alerted.all()) == 1 })
	if want := "access log: write standard output: broken pipe; 2 lines lost so far"; alerted.all()[0] != want {
		t.Errorf("alert %q, want %q", alerted.all()[0], want)
	}
	write(ring, w.cfg.Doorbell.Out, "three\n")
	closed(t, w)
	if w.Lost() != 3 {
		t.Errorf("%d lines lost", w.Lost())
	}
}

// A full device is reported once a minute, and the lines stay in the ring.
func TestAlertsOnceAMinute(t *testing.T) {
	var alerted alerts
	var now atomic.Int64
	w := open(t, "/dev/full", Config{Alert: alerted.add, now: func() time.Time { return time.Unix(now.Load(), 0) }})
	ring, _ := newRing(t, MinRing)
	now.Store(1000)
	w.Attach(0, ring)
	write(ring, w.cfg.Doorbell.Out, "one\n")
	line := func(lost int) string {
		if lost == 0 {
			return `access log: write "/dev/full": no space left on device; no line is lost yet`
		}
		return fmt.Sprintf(`access log: write "/dev/full": no space left on device; %d lines lost so far`, lost)
	}
	systest.Await(t, "an alert", func() bool { return len(alerted.all()) == 1 })
	now.Store(1059)
	for range 10 {
		ring.Write(make([]byte, MinRing))
	}
	// Each is an attempt that fails.
	for range 3 {
		if err := w.suspend(20 * time.Second); err == nil || !strings.Contains(err.Error(), "no space left on device; 1 line not written") {
			t.Errorf("Suspend: %v", err)
		}
		w.Resume()
	}
	if n := len(alerted.all()); n != 1 {
		t.Errorf("%d alerts within a minute, want 1", n)
	}
	now.Store(1060)
	systest.Await(t, "another alert", func() bool { return len(alerted.all()) == 2 })
	if got := alerted.all(); got[0] != line(0) || got[1] != line(10) {
		t.Errorf("alert %q", got)
	}
	if got := w.Fault(); got != line(10) {
		t.Errorf("the problem is %q", got)
	}
	if err := w.close(time.Second); err == nil || ring.Waiting() != 4 {
		t.Errorf("Close: %v, %d bytes wait", err, ring.Waiting())
	}
}

// Lines of workers that died while nothing could be written are kept, up to a limit.
func TestDetachedLinesAreBounded(t *testing.T) {
	w := open(t, "/dev/full", Config{})
	const size = 1 << 20
	line := strings.Repeat("x", 999) + "\n"
	n := 0
	for id := range 2 * maxKept / size {
		ring, _ := newRing(t, size)
		for ring.Write([]byte(line)) {
			n++
		}
		w.Attach(id, ring)
		w.Detach(id)
	}
	w.mu.Lock()
	kept := 0
	for _, s := range w.sources {
		kept += len(s.rest)
	}
	w.mu.Unlock()
	rings := 2 * maxKept / size // each has lost one line itself
	if kept > maxKept || kept < maxKept/2 || int(w.Lost()) != n-kept/1000+rings {
		t.Errorf("%d bytes kept, %d lines lost of %d", kept, w.Lost(), n)
	}
	if err := w.close(time.Second); err == nil || int(w.Lost()) != n+rings {
		t.Errorf("Close: %v; %d lines lost of %d", err, w.Lost(), n)
	}
}

func TestFitting(t *testing.T) {
	tests := []struct {
		first, second string
		room          int
		must          bool
		want          int
	}{
		{"", "", 10, true, 0},
		{"a\nb\n", "", 10, true, 4},
		{"a\nb\n", "", 3, false, 2},
		{"a\nb\n", "", 2, false, 2},
		{"a\nb\n", "", 1, false, 0},
		{"a\nb\n", "", 1, true, 2},
		{"a\nb\n", "", 0, false, 0},
		{"a\nb", "b\nc\n", 5, false, 5},
		{"a\nb", "b\nc\n", 6, false, 5},
		{"a\nb", "b\nc\n", 4, false, 2},
		{"aaa", "b\nc\n", 2, true, 5},
		{"aaa", "b\nc\n", 4, true, 5},
		{"aaa", "bbb", 2, true, 6},
		{"aaa", "bbb", 2, false, 0},
		{"aaa", "bbb", 6, false, 6},
	}
	for _, tt := range tests {
		if got := fitting([]byte(tt.first), []byte(tt.second), tt.room, tt.must); got != tt.want {
			t.Errorf("%q %q into %d, %v: %d, want %d", tt.first, tt.second, tt.room, tt.must, got, tt.want)
		}
	}
}

// A check creates no file: the file would belong to the user that runs the check.
func TestTryCreatesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, exists := range []bool{false, true} {
		if err := Try(path, nil); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); (err == nil) != exists {
			t.Errorf("the file exists: %v", err)
		}
		noError(t, os.WriteFile(path, nil, 0o600))
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		path, want string
	}{
		{dir, fmt.Sprintf("open access log %q: is a directory", dir)},
		{dir + "/no/log", fmt.Sprintf("open access log %q: directory %q: no such file or directory", dir+"/no/log", dir+"/no")},
		{"/proc/self/status", `open access log "/proc/self/status": permission denied`},
		{"-", "open access log: standard output is closed"},
	}
	if os.Geteuid() == 0 {
		tests[2].path = "/proc/self/mounts/x"
		tests[2].want = `open access log "/proc/self/mounts/x": not a directory`
	}
	for _, tt := range tests {
		w := New(Config{})
		if err := w.Use(tt.path); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.path, err, tt.want)
		}
		if got := Try(tt.path, nil); fmt.Sprint(got) != tt.want {
			t.Errorf("try %q: %v, want %s", tt.path, got, tt.want)
		}
	}
}
