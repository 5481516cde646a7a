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

// Nobody is a user and group without any privilege.
const Nobody = 65534

// Plan says how a master is to be started.
type Plan struct {
	Before  []string // a command that ends by executing the rest
	Binary  string   // the master; empty means the one under test
	Args    []string
	Env     []string   // beyond the few variables that every master gets
	Nobody  bool       // without root's privileges
	Tty     *os.File   // standard input, output and error, and the controlling terminal
	Out     *os.File   // standard output; nil means the journal
	Err     *os.File   // standard error; nil means the journal
	Workdir string     // a directory of no interest if empty
	Files   []*os.File // from descriptor 3 on
}

// Server is a running master and what is known about it.
type Server struct {
	T      *testing.T
	cmd    *exec.Cmd
	Port   int
	Out    *Journal // standard output
	Log    *Journal // standard error
	Exited chan struct{}
	Secure bool // the first address of its log is for HTTPS
	killed bool // by the test, so that no exit status is expected
}

// Launch starts a master without waiting for anything. When the test ends,
// so does the master, gracefully; what then is left of its tree is an error.
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
		// The status is in ProcessState; Wait's error says no more.
		_ = s.cmd.Wait()
		close(s.Exited)
	}()
	t.Cleanup(s.end)
	return s
}

// sink is the first file there is, or the journal.
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

// Verbosely is the command line of a master that names its port in its log.
func Verbosely(base string) []string {
	return []string{"--base", base, "--bind", "127.0.0.1", "--port", "0", "-v"}
}

// ServeAs is serve for a master that is started in a special way.
func ServeAs(t *testing.T, p Plan) *Server {
	t.Helper()
	s := Launch(t, p)
	s.AwaitServing()
	return s
}

// AwaitServing waits until the log says that the pool serves, and where.
func (s *Server) AwaitServing() {
	s.T.Helper()
	serving := s.Log.Await(s.T, 15*time.Second, "serving", s.Exited, func(all []Event) bool {
		return len(WithMessage(all, "serving")) > 0
	})
	first := WithMessage(serving, "serving")[0]
	s.Port, s.Secure = first.Number("port"), strings.HasPrefix(first.Text("url"), "https:")
	if s.Port == 0 {
		s.T.Fatalf("the serving line names no port:\n%s", s.Log)
	}
}

// ServeSilently starts a master without -v and returns when it answers.
func ServeSilently(t *testing.T, p Plan) *Server {
	t.Helper()
	port := FreePort(t)
	p.Args = append(p.Args, "--bind", "127.0.0.1", "--port", strconv.Itoa(port))
	return ServeSilentlyAt(t, port, p)
}

// ServeSilentlyAt is that for a master that is told where to listen; it answers plain
// HTTP at a port.
func ServeSilentlyAt(t *testing.T, port int, p Plan) *Server {
	t.Helper()
	s := Launch(t, p)
	s.Port = port
	s.AwaitAnswer()
	return s
}

// AwaitAnswer waits until a request is answered, whatever the answer.
func (s *Server) AwaitAnswer() {
	s.T.Helper()
	Await(s.T, 15*time.Second, "an answer from the silent master", func() bool {
		if s.Gone() {
			s.T.Fatalf("the master ended with %d: %s", s.Status(), s.Log)
		}
		_, err := Exchange(s.Port, Request("HEAD", "/", "Connection: close"))
		return err == nil
	})
}
