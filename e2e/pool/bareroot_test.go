package pool

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestBareRoot runs the pool in a root directory with only the two programs and the files that they are
// given, without /proc, /dev and /etc: it serves, rescues, reloads and upgrades as elsewhere.
func TestBareRoot(t *testing.T) {
	t.Parallel()
	root := harness.Copies(t, "master", "worker")
	harness.Write(t, filepath.Join(root, "site", "index.html"), []byte("front"))
	harness.Write(t, filepath.Join(root, "site", "docs", "README.md"), []byte("# Heading\n"))
	config, log := filepath.Join(root, "config"), filepath.Join(root, "log")
	harness.Write(t, config, []byte("workers = 2\naccess-log = /log\n"))
	before := []string{"chroot", root}
	if os.Geteuid() != 0 {
		before = []string{"unshare", "--map-root-user", "--root=" + root}
	}
	s := harness.ServeAs(t, harness.Plan{
		Before: before, Binary: "/master",
		Args: append(harness.Verbosely("/site"), "--config", "/config", "--admin", "/admin.sock"),
	})
	s.MustServe("/", "front")
	old := s.AwaitWorkers(2)
	harness.Kill(t, old[0], syscall.SIGKILL)
	old = append(s.AwaitWorkers(2, old[0]), old...)
	harness.Await(t, 5*time.Second, "the request in the access log", func() bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Count(string(text), "\n") == 1
	})

	// Reload without the access log: nothing may be opened in its place.
	harness.Write(t, config, []byte("workers = 2\nlist = true\n"))
	s.Signal(syscall.SIGHUP)
	old = append(s.AwaitWorkers(2, old...), old...)
	s.MustServe("/", "front")
	if body := page(t, s.URL("/docs/")); !strings.Contains(body, "Heading") || strings.Contains(body, "# Heading") {
		t.Errorf("the README is not rendered: %s", body)
	}
	if text, err := os.ReadFile(log); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("the access log after it was switched off: %q, error %v; want one line", text, err)
	}

	s.Signal(syscall.SIGUSR2)
	s.AwaitMessages(1, "master upgraded")
	s.AwaitWorkers(2, old...)
	s.MustServe("/", "front")
	endpoint := harness.EndpointAt(t, filepath.Join(root, "admin.sock"))
	endpoint.MustSay("/readyz", 200, "serving")
	if code, text, err := endpoint.Ask("GET", "/metrics"); err != nil || code != 200 || !strings.Contains(text, "\nphalanx_ready 1\n") {
		t.Errorf("metrics: status %d, error %v, %.200q", code, err, text)
	}
	s.Stop(5 * time.Second)
}

// TestBinaries checks the installed programs: they are statically linked, have no symbol table and contain
// no path of the build machine.
func TestBinaries(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"master", "worker"} {
		f, err := elf.Open(harness.Binary(name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Section(".interp") != nil {
			t.Errorf("%s needs a dynamic linker", name)
		}
		if _, err := f.Symbols(); !errors.Is(err, elf.ErrNoSymbols) {
			t.Errorf("%s has a symbol table, error %v", name, err)
		}
		text := harness.Original(t, name)
		if root := filepath.Dir(filepath.Dir(here)); strings.Contains(string(text), root+"/") {
			t.Errorf("%s contains the path %s", name, root)
		}
	}
}
