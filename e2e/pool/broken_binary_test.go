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

// badProgram is a file that is not the expected program, and a regular expression for the line in which the
// master reports it.
type badProgram struct{ content, line string }

// surviveBadPrograms replaces a program by each bad file and sends the master the signal to use it: the pool has to
// keep serving with its workers, and to use the program once it is restored.
func surviveBadPrograms(t *testing.T, name string, order syscall.Signal, bad ...badProgram) {
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
		s.Log.Await(t, 5*time.Second, "a line that matches "+b.line, s.Exited, func([]harness.Event) bool {
			return slices.ContainsFunc(s.Log.Lines(), line.MatchString)
		})
		s.MustServe("/", "front")
	}
	if now := s.Workers(); !slices.Equal(now, old) {
		t.Errorf("the workers are %v, want %v", now, old)
	}
	harness.MustInstall(t, path, harness.Original(t, name))
	s.Signal(order)
	s.AwaitWorkers(2, old...)
	s.Stop(5 * time.Second)
}
