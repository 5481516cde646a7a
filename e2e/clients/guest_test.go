package clients

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// guest is a client program with a home of its own, in which it neither
// finds nor leaves any configuration.
type guest struct {
	t    *testing.T
	path string
	home string
	env  []string
}

// visit makes a guest of the first of the programs that is installed.
func visit(t *testing.T, names ...string) *guest {
	t.Helper()
	home := harness.OpenDir(t)
	return &guest{
		t: t, path: harness.Tool(t, "run scripts/test-tools.sh", names...), home: home,
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8"},
	}
}

// try runs the program in its home and returns what it wrote, on standard
// error too, and its exit code.
func (g *guest) try(args ...string) (said string, code int) {
	g.t.Helper()
	var all bytes.Buffer
	code = g.exec(&all, &all, args)
	return all.String(), code
}

// output runs the program, which must end well, and returns what it wrote on
// standard output.
func (g *guest) output(args ...string) string {
	g.t.Helper()
	var out, complaints bytes.Buffer
	if code := g.exec(&out, &complaints, args); code != 0 {
		g.t.Fatalf("%s %q: exit status %d\n%s", filepath.Base(g.path), args, code, complaints.String())
	}
	return out.String()
}

func (g *guest) exec(stdout, stderr *bytes.Buffer, args []string) (code int) {
	g.t.Helper()
	limited, stop := context.WithTimeout(g.t.Context(), 60*time.Second)
	defer stop()
	cmd := exec.CommandContext(limited, g.path, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = g.home, g.env, stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		g.t.Fatalf("%s: %v\n%s", cmd, err, stderr)
	}
	return cmd.ProcessState.ExitCode()
}

// run is try for what must end well.
func (g *guest) run(args ...string) string {
	g.t.Helper()
	said, code := g.try(args...)
	if code != 0 {
		g.t.Fatalf("%s %q: exit status %d\n%s", filepath.Base(g.path), args, code, said)
	}
	return said
}

// at is the path of a file in the guest's home.
func (g *guest) at(name string) string { return filepath.Join(g.home, name) }

// holds expects a file in the guest's home to have this content.
func (g *guest) holds(name string, want []byte) {
	g.t.Helper()
	got, err := os.ReadFile(g.at(name))
	if err != nil {
		g.t.Error(err)
		return
	}
	if !bytes.Equal(got, want) {
		g.t.Errorf("%s: %s has %d bytes, not the %d that were served", filepath.Base(g.path), name, len(got), len(want))
	}
}

// statuses are those of the requests for a path, once there are so many. They
// are sorted: each worker writes its lines when it comes to it.
func statuses(s *harness.Server, path string, n int) []int {
	s.T.Helper()
	var found []int
	s.Log.Await(s.T, 10*time.Second, "request for "+path, s.Exited, func(all []harness.Event) bool {
		found = found[:0]
		for _, e := range harness.WithMessage(all, "request") {
			if e.Text("path") == path {
				found = append(found, e.Number("status"))
			}
		}
		return len(found) >= n
	})
	slices.Sort(found)
	return found
}
