package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"
)

// original is the content of one of the programs under test.
func original(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(binaries, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// copies puts programs under test into a directory where a test may replace
// them.
func copies(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = openDir(t)
	for _, name := range names {
		mustInstall(t, filepath.Join(dir, name), original(t, name))
	}
	return dir
}

// install puts a file in the place of another, at once.
func install(path string, content []byte, mode os.FileMode) error {
	next := path + ".next"
	if err := writeUnforked(next, content, mode); err != nil {
		return err
	}
	if err := os.Chmod(next, mode); err != nil { // whatever the umask is
		return err
	}
	return os.Rename(next, path)
}

// writeUnforked writes a file that is to be executed. A child that another test
// forks meanwhile would have it open for writing until it executes its own
// program, and nobody can execute it as long (ETXTBSY).
func writeUnforked(path string, content []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, mode)
}

func mustInstall(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := install(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// spoilt is a file that is no program of the pool, and the line, as a regular
// expression, in which the master says so.
type spoilt struct{ content, line string }

// outlive puts one spoilt file after the other in the place of a program, and
// tells the master to use it: the pool must serve on with the workers it has,
// and take the program when it is whole again.
func outlive(t *testing.T, name string, order syscall.Signal, bad ...spoilt) {
	t.Helper()
	dir := copies(t, "master", "worker")
	path := filepath.Join(dir, name)
	base := tree(t, map[string]string{"index.html": "front"})
	s := serveAs(t, plan{binary: filepath.Join(dir, "master"), args: append(verbosely(base), "--workers", "2")})
	old := s.workers()
	for _, b := range bad {
		line := regexp.MustCompile(b.line)
		mustInstall(t, path, []byte(b.content))
		s.signal(order)
		s.log.await(t, 5*time.Second, "line "+b.line, s.exited, func([]event) bool {
			_, odd := s.log.all()
			return slices.ContainsFunc(odd, line.MatchString)
		})
		s.mustServe("/", "front")
	}
	if now := s.workers(); !slices.Equal(now, old) {
		t.Errorf("the workers are %v, and were %v", now, old)
	}
	mustInstall(t, path, original(t, name))
	s.signal(order)
	s.awaitWorkers(2, old...)
	s.stop(5 * time.Second)
}
