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

// program is a client program with a home directory of its own, without any configuration.
type program struct {
	t    *testing.T
	path string
	home string
	env  []string
}

// newProgram returns the first of the programs that is installed.
func newProgram(t *testing.T, names ...string) *program {
	t.Helper()
	home := harness.OpenDir(t)
	return &program{
		t: t, path: harness.Tool(t, "run scripts/test-tools.sh", names...), home: home,
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8"},
	}
}

// try runs the program in its home directory and returns its output, standard error included, and its exit
// status.
func (p *program) try(args ...string) (printed string, code int) {
	p.t.Helper()
	var all bytes.Buffer
	code = p.exec(&all, &all, args)
	return all.String(), code
}

// output runs the program, which has to succeed, and returns its standard output.
func (p *program) output(args ...string) string {
	p.t.Helper()
	var out, errOut bytes.Buffer
	if code := p.exec(&out, &errOut, args); code != 0 {
		p.t.Fatalf("%s %q: exit status %d, want 0\n%s", filepath.Base(p.path), args, code, errOut.String())
	}
	return out.String()
}

func (p *program) exec(stdout, stderr *bytes.Buffer, args []string) (code int) {
	p.t.Helper()
	limited, stop := context.WithTimeout(p.t.Context(), harness.InTime(time.Minute))
	defer stop()
	cmd := exec.CommandContext(limited, p.path, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.home, p.env, stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if _, exit := errors.AsType[*exec.ExitError](err); err != nil && !exit {
		p.t.Fatalf("%s: %v\n%s", cmd, err, stderr)
	}
	return cmd.ProcessState.ExitCode()
}

// run runs the program, which has to succeed, and returns its output.
func (p *program) run(args ...string) string {
	p.t.Helper()
	printed, code := p.try(args...)
	if code != 0 {
		p.t.Fatalf("%s %q: exit status %d, want 0\n%s", filepath.Base(p.path), args, code, printed)
	}
	return printed
}

// at returns the path of a file in the program's home directory.
func (p *program) at(name string) string { return filepath.Join(p.home, name) }

// holds checks the content of a file in the program's home directory.
func (p *program) holds(name string, want []byte) {
	p.t.Helper()
	got, err := os.ReadFile(p.at(name))
	if err != nil {
		p.t.Error(err)
		return
	}
	if !bytes.Equal(got, want) {
		p.t.Errorf("%s: %s differs from the served file: %d bytes, want %d", filepath.Base(p.path), name, len(got), len(want))
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
