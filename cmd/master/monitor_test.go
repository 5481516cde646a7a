package main

import (
	"os"
	"strings"
	"testing"

	"phalanx/internal/helper"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/snapshot"
	"phalanx/internal/options"
)

// The helper makes digests without --compress too.
func TestHelpWithDigests(t *testing.T) {
	board, err := scoreboard.New()
	if err != nil {
		t.Fatal(err)
	}
	m := &monitor{Observer: &snapshot.Observer{Config: snapshot.Config{Board: board}}, helper: helper.NewRunner(helper.Config{})}
	for _, c := range []struct {
		compress bool
		tags     options.ETag
		want     bool
	}{
		{true, options.ETagTimes, true},
		{false, options.ETagContent, true},
		{false, options.ETagAuto, true},
		{false, options.ETagTimes, false},
	} {
		o := options.Options{CacheDir: "/var/cache/phalanx", Compress: c.compress, ETag: c.tags}
		m.describe(o)
		if (m.help(o) != nil) != c.want || (m.helps() != nil) != c.want {
			t.Errorf("compress %v, etag %s: jobs %v, status %v; want %v", c.compress, c.tags, m.help(o) != nil, m.helps() != nil, c.want)
		}
	}
}

// A helper is started with the options in force, such as the user after a reload.
func TestHelperAfterReload(t *testing.T) {
	board, err := scoreboard.New()
	if err != nil {
		t.Fatal(err)
	}
	m := &monitor{Observer: &snapshot.Observer{Config: snapshot.Config{Board: board}}}
	o := options.Options{CacheDir: options.Dir(t.TempDir()), Compress: true}
	m.describe(o)
	told := ""
	m.helper = newHelper(func() options.Options { return *m.used.Load() }, nil, func(line string) { told = line })
	o.Identity = "12345:12345"
	m.describe(o)
	file, err := os.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	m.helper.Give(1, ipc.Job{Kind: ipc.JobGzip}, file)
	if !strings.Contains(told, "workers run as user 12345") {
		t.Errorf("%q", told)
	}
	m.helper.Suspend()
}

// process is a helper that runs until it is killed.
type process chan struct{}

func (process) PID() int      { return 100 }
func (p process) Kill()       { close(p) }
func (p process) Wait() error { <-p; return nil }

// A reload that changes the user ends the helper of the user before, which cannot write to a cache
// directory of the new one.
func TestHelperOfUserBefore(t *testing.T) {
	board, err := scoreboard.New()
	if err != nil {
		t.Fatal(err)
	}
	start := func(*os.File) (helper.Process, error) { return make(process), nil }
	m := &monitor{Observer: &snapshot.Observer{Config: snapshot.Config{Board: board}}, helper: helper.NewRunner(helper.Config{Start: start})}
	o := options.Options{CacheDir: "/var/cache/phalanx", Compress: true}
	m.describe(o)
	file, err := os.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	m.helper.Give(1, ipc.Job{Kind: ipc.JobGzip}, file)
	for _, c := range []struct {
		user string
		pid  int
	}{{"", 100}, {"12345:12345", 0}} {
		o.Identity = c.user
		if m.describe(o); m.helper.Status().PID != c.pid {
			t.Errorf("user %q: the helper has pid %d, want %d", c.user, m.helper.Status().PID, c.pid)
		}
	}
}

// After an upgrade that is postponed, for instance because of a signal, the log and READMEs
// continue.
func TestUpgradePutOff(t *testing.T) {
	m := &monitor{readmes: newRenderer(""), helper: helper.NewRunner(helper.Config{})}
	defer m.readmes.close()
	resumed := 0
	leave := m.leave(func() ([]byte, int, func()) { return []byte("a line"), 2, func() { resumed++ } })
	for i := range 2 {
		unwritten, dropped, resume := leave()
		if string(unwritten) != "a line" || dropped != 2 || resumed != i {
			t.Errorf("%q, %d lines dropped, resumed %d times", unwritten, dropped, resumed)
		}
		resume()
		if resumed != i+1 {
			t.Errorf("resumed %d times, want %d", resumed, i+1)
		}
	}
}
