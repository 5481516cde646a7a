package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/compress"
	"phalanx/internal/helper"
	"phalanx/internal/options"
)

// The death of a helper is one log line.
func TestHelperWait(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":                              "",
		"exit 3":                              "exit code 3",
		"echo 'a: b' >&2; echo c >&2; exit 1": "a: b",
		"kill -9 $$":                          "killed by SIGKILL",
		"yes | head -c 100000 >&2; exit 1":    "y",
	} {
		p := &helperProcess{cmd: exec.Command("sh", "-c", script)}
		if text := ended(t, p); text != want || len(p.words.text) > 1000 {
			t.Errorf("%s: %q, want %q", script, text, want)
		}
	}
}

// ended runs a process and returns why it has ended; "" if there was nothing to say.
func ended(t *testing.T, p *helperProcess) string {
	t.Helper()
	p.cmd.Stderr = &p.words
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		return err.Error()
	}
	return ""
}

// A helper whose exit status somebody else has collected has died, unless it may have exited because
// it was idle.
func TestHelperReaped(t *testing.T) {
	signal.Ignore(syscall.SIGCHLD) // so that the kernel reaps it
	defer func() {                 // signal.Reset would leave it ignored
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGCHLD)
		signal.Stop(c)
	}()
	for _, tt := range []struct {
		script string
		age    time.Duration
		want   string
	}{
		{"exit 1", 0, "exit status unknown"},
		{"echo broken >&2; exit 1", 0, "broken"},
		{"exit 0", helper.IdleTime, ""},
	} {
		p := &helperProcess{cmd: exec.Command("sh", "-c", tt.script), began: time.Now().Add(-tt.age)}
		if text := ended(t, p); text != tt.want {
			t.Errorf("%s after %v: %q, want %q", tt.script, tt.age, text, tt.want)
		}
	}
}

// The cache directory is created for its user alone, and an unsafe one is refused.
func TestOpenCache(t *testing.T) {
	top := t.TempDir()
	base := filepath.Join(top, "site")
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	o := options.Options{Base: options.Base(base), Compress: true, CacheDir: options.Dir(filepath.Join(top, "var", "cache"))}
	for range 2 { // it is created, and then there
		f, err := openCache(o)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if info, err := os.Stat(string(o.CacheDir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Chmod(string(o.CacheDir), 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := openCache(o); err == nil || !strings.HasSuffix(err.Error(), "others can write there; chmod go-w it, or name one that does not exist yet") {
		t.Errorf("writable by others: %v", err)
	}
	other := o
	other.Identity = "12345:12345"
	if _, err := openCache(other); err == nil || !strings.Contains(err.Error(), "and workers run as user 12345") {
		t.Errorf("of another user: %v", err)
	}
	for _, dir := range []string{base, filepath.Join(base, "a", "b")} {
		o.CacheDir = options.Dir(dir)
		if err := o.CheckKeys(); err == nil || !strings.Contains(err.Error(), "lies in a document root") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// A file that changes while it is compressed, as in any deploy, is not reported.
func TestWhyFailed(t *testing.T) {
	for err, want := range map[error]string{fmt.Errorf("x: %w", compress.ErrChanged): "", syscall.ENOSPC: "compress: no space left on device; y"} {
		if got := whyFailed("compress: %v; y", err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
