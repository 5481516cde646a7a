// Package e2e tests the real binaries from the outside. A test starts a
// master, speaks to it over loopback, looks into /proc and the log, and ends
// by looking at what is left: every master leads a session of its own, so
// the session's number names its whole tree, orphans included. Whatever can
// be waited for is waited for; the only pauses are a slow client's.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Directories that every user can enter. TestMain makes them, once.
var (
	binaries string // the master, the worker, and whatever else is executed
	memory   string // for trees: where there is a tmpfs, sparse files cost nothing
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if err := manyAtOnce(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if binaries, err = os.MkdirTemp("", "phalanx-e2e-"); err == nil {
		defer os.RemoveAll(binaries)
		err = os.Chmod(binaries, 0o755)
	}
	memory = binaries
	if dir, none := os.MkdirTemp("/dev/shm", "phalanx-e2e-"); none == nil && err == nil {
		defer os.RemoveAll(dir)
		memory, err = dir, os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = compile(binaries, "phalanx/cmd/master", "phalanx/cmd/worker")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// manyAtOnce lets more tests run in parallel than there are cores, because
// most of them wait most of the time.
func manyAtOnce() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

// compile builds packages into a file or, when it exists, a directory.
func compile(to string, packages ...string) error {
	build := exec.Command("go", append([]string{"build", "-o", to}, packages...)...)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(packages, " "), err, out)
	}
	return nil
}

// program compiles a package of testdata, for tests that need a client or a
// worker of a special kind, and returns its path.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(openDir(t), name)
	if err := compile(path, "./testdata/"+name); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool finds a program of the machine or ends the test with the cure.
func tool(t *testing.T, cure string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("none of %q is installed: %s", names, cure)
	return ""
}

func models() []string { return []string{"process", "goroutine", "serial"} }

func parallelModels() []string { return []string{"process", "goroutine"} }

// each runs a test once for every name, all at the same time.
func each(t *testing.T, names []string, test func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// await polls until ok holds, and fails the test when it does not in time.
func await(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !holds(within, ok) {
		t.Fatalf("not within %v: %s", within, what)
	}
}

// holds polls until ok holds, and reports whether it did in time.
func holds(within time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// freePort returns a port that nobody has. It lies below the range from
// which the kernel takes the ports of clients, so none can take it before
// the master does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port between 12000 and 32000")
	return 0
}

// openDir is a t.TempDir that every user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	return dirIn(t, binaries)
}

func dirIn(t *testing.T, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "dir-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// tree writes files, path to content, into a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := dirIn(t, memory)
	for name, content := range files {
		write(t, filepath.Join(dir, name), []byte(content))
	}
	return dir
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// sparse makes a file of any size that takes no room on the disk.
func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	write(t, path, nil)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// siteDir is the demo site of the repository.
func siteDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "site"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "index.html")); err != nil {
		t.Fatalf("the demo site has no front page: %v", err)
	}
	return dir
}

// filesOf lists the regular files beneath a directory, by slash path.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// refused reports whether nobody listens on the port any more. A server may
// be deaf for a moment before that, and the kernel asks again after a second.
func refused(port int) bool {
	c, err := net.DialTimeout("tcp", loopback(port), 3*time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
