package pool

import (
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// spoilt is a file that is no program of the pool, and the line, as a regular
// expression, in which the master says so.
type spoilt struct{ content, line string }

// outlive puts one spoilt file after the other in the place of a program, and
// tells the master to use it: the pool must serve on with the workers it has,
// and take the program when it is whole again.
func outlive(t *testing.T, name string, order syscall.Signal, bad ...spoilt) {
	t.Helper()
	dir := harness.Copies(t, "master", "worker")
	path := filepath.Join(dir, name)
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.ServeAs(t, harness.Plan{Binary: filepath.Join(dir, "master"), Args: append(harness.Verbosely(base), "--workers", "2")})
	old := s.Workers()
	for _, b := range bad {
		line := regexp.MustCompile(b.line)
		harness.MustInstall(t, path, []byte(b.content))
		s.Signal(order)
		s.Log.Await(t, 5*time.Second, "line "+b.line, s.Exited, func([]harness.Event) bool {
			return slices.ContainsFunc(s.Log.Lines(), line.MatchString)
		})
		s.MustServe("/", "front")
	}
	if now := s.Workers(); !slices.Equal(now, old) {
		t.Errorf("the workers are %v, and were %v", now, old)
	}
	harness.MustInstall(t, path, harness.Original(t, name))
	s.Signal(order)
	s.AwaitWorkers(2, old...)
	s.Stop(5 * time.Second)
}
