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

// guest is a client program with a home directory of its own, without any configuration.
type guest struct {
	t    *testing.T
	path string
	home string
	env  []string
}

// visit returns a guest for the first of the programs that is installed.
func visit(t *testing.T, names ...string) *guest {
	t.Helper()
	home := harness.OpenDir(t)
	return &guest{
		t: t, path: harness.Tool(t, "run scripts/test-tools.sh", names...), home: home,
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8"},
	}
}

// try runs the program in its home directory and returns its output, standard error included, and its exit
// status.
func (g *guest) try(args ...string) (said string, code int) {
	g.t.Helper()
	var all bytes.Buffer
	code = g.exec(&all, &all, args)
	return all.String(), code
}

// output runs the program, which has to succeed, and returns its standard output.
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
	if _, exit := errors.AsType[*exec.ExitError](err); err != nil && !exit {
		g.t.Fatalf("%s: %v\n%s", cmd, err, stderr)
	}
	return cmd.ProcessState.ExitCode()
}

// run runs the program, which has to succeed, and returns its output.
func (g *guest) run(args ...string) string {
	g.t.Helper()
	said, code := g.try(args...)
	if code != 0 {
		g.t.Fatalf("%s %q: exit status %d\n%s", filepath.Base(g.path), args, code, said)
	}
	return said
}

// at returns the path of a file in the guest's home directory.
func (g *guest) at(name string) string { return filepath.Join(g.home, name) }

// holds checks the content of a file in the guest's home directory.
func (g *guest) holds(name string, want []byte) {
	g.t.Helper()
	got, err := os.ReadFile(g.at(name))
	if err != nil {
		g.t.Error(err)
		return
	}
	if !bytes.Equal(got, want) {
		g.t.Errorf("%s: %s differs from the served file: %d bytes, want %d", filepath.Base(g.path), name, len(got), len(want))
	}
}

// statuses returns the statuses of the requests for a path, once there are n. They are sorted, because each
// worker logs in its own time.
func statuses(s *harness.Server, path string, n int) []int {
	s.T.Helper()
	var found []int
	s.Log.Await(s.T, 10*time.Second, "requests for "+path, s.Exited, func(all []harness.Event) bool {
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
