package harness

import (
	"cmp"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nobody is the ID of a user and a group without privileges.
const Nobody = 65534

// Plan describes how to start a master.
type Plan struct {
	Before  []string // a command that finally executes the rest
	Binary  string   // the master; empty means the one under test
	Args    []string
	Env     []string   // in addition to BareEnv
	Nobody  bool       // as user Nobody, if the test runs as root
	Tty     *os.File   // standard input, output and error, and the controlling terminal
	Out     *os.File   // standard output; nil means the journal
	Err     *os.File   // standard error; nil means the journal
	Workdir string     // empty means the directory of the programs
	Files   []*os.File // inherited from descriptor 3 on
}

// Server is a master that a test has started.
type Server struct {
	T      *testing.T
	cmd    *exec.Cmd
	Port   int
	Out    *Journal // standard output
	Log    *Journal // standard error
	Exited chan struct{}
	Secure bool // the first address in its log is for HTTPS
	killed bool // by the test, so the exit status is not checked
}

// Launch starts a master without waiting until it serves. The end of the test
// drains it; a process that is left in its session then is an error.
func Launch(t *testing.T, p Plan) *Server {
	t.Helper()
	binary := p.Binary
	if binary == "" {
		binary = Binary("master")
	}
	argv := slices.Concat(p.Before, []string{binary}, p.Args)
	s := &Server{T: t, Out: NewJournal(), Log: NewJournal(), Exited: make(chan struct{})}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Dir = cmp.Or(p.Workdir, dirs.programs)
	s.cmd.Env = append(BareEnv(), p.Env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.cmd.WaitDelay = 20 * time.Second
	s.cmd.ExtraFiles = p.Files
	if p.Nobody && os.Geteuid() == 0 {
		s.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: Nobody, Gid: Nobody}
	}
	if p.Tty != nil {
		s.cmd.SysProcAttr.Setctty = true
		s.cmd.Stdin = p.Tty
	}
	s.cmd.Stdout = sink(s.Out, p.Out, p.Tty)
	s.cmd.Stderr = sink(s.Log, p.Err, p.Tty)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		// The status is in ProcessState; the error of Wait adds nothing.
		_ = s.cmd.Wait()
		close(s.Exited)
	}()
	t.Cleanup(s.end)
	return s
}

// sink returns the first file that is not nil, or the journal.
func sink(j *Journal, files ...*os.File) io.Writer {
	for _, f := range files {
		if f != nil {
			return f
		}
	}
	return j
}

// Serve starts a master that logs requests, on a free port of 127.0.0.1, and
// returns when it serves.
func Serve(t *testing.T, base string, args ...string) *Server {
	t.Helper()
	return ServeAs(t, Plan{Args: append(Verbosely(base), args...)})
}

// Verbosely returns the arguments of a master that logs its port.
func Verbosely(base string) []string {
	return []string{"--base", base, "--bind", "127.0.0.1", "--port", "0", "-v"}
}

// ServeAs starts a master by a plan and returns when it serves.
func ServeAs(t *testing.T, p Plan) *Server {
	t.Helper()
	s := Launch(t, p)
	s.AwaitServing()
	return s
}

// AwaitServing waits until the log says that the pool serves, and where.
func (s *Server) AwaitServing() {
	s.T.Helper()
	first := s.AwaitMessages(1, "serving")[0]
	s.Port, s.Secure = first.Number("port"), strings.HasPrefix(first.Text("url"), "https:")
	if s.Port == 0 {
		s.T.Fatalf("the serving line names no port:\n%s", s.Log)
	}
}

// ServeSilently starts a master without -v, on a free port of 127.0.0.1, and
// returns when it responds.
func ServeSilently(t *testing.T, p Plan) *Server {
	t.Helper()
	port := FreePort(t)
	p.Args = append(p.Args, "--bind", "127.0.0.1", "--port", strconv.Itoa(port))
	return ServeSilentlyAt(t, port, p)
}

// ServeSilentlyAt is ServeSilently for a plan that has its own addresses. The master must
// serve plain HTTP on the port.
func ServeSilentlyAt(t *testing.T, port int, p Plan) *Server {
	t.Helper()
	s := Launch(t, p)
	s.Port = port
	s.AwaitAnswer()
	return s
}

// AwaitAnswer waits until the master responds to a request, with any status.
func (s *Server) AwaitAnswer() {
	s.T.Helper()
	Await(s.T, 15*time.Second, "a response from the master", func() bool {
		if s.Gone() {
			s.T.Fatalf("the master exited with %d: %s", s.Status(), s.Log)
		}
		_, err := Exchange(s.Port, Request("HEAD", "/", "Connection: close"))
		return err == nil
	})
}
