package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is a user and group without any privilege.
const nobody = 65534

// plan says how a master is to be started.
type plan struct {
	before  []string // a command that ends by executing the rest
	binary  string   // the master; empty means the one under test
	args    []string
	env     []string // beyond the few variables that every master gets
	nobody  bool     // without root's privileges
	tty     *os.File // standard input, output and error, and the controlling terminal
	out     *os.File // standard output; nil means the journal
	err     *os.File // standard error; nil means the journal
	workdir string
	files   []*os.File // from descriptor 3 on
}

// server is a running master and what is known about it.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	port   int
	out    *journal // standard output
	log    *journal // standard error
	exited chan struct{}
	killed bool // by the test, so that no exit status is expected
}

// launch starts a master without waiting for anything. When the test ends,
// so does the master, gracefully; what then is left of its tree is an error.
func launch(t *testing.T, p plan) *server {
	t.Helper()
	binary := p.binary
	if binary == "" {
		binary = filepath.Join(binaries, "master")
	}
	argv := slices.Concat(p.before, []string{binary}, p.args)
	s := &server{t: t, out: newJournal(), log: newJournal(), exited: make(chan struct{})}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Dir = p.workdir
	s.cmd.Env = append(bareEnv(), p.env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.cmd.WaitDelay = 20 * time.Second
	s.cmd.ExtraFiles = p.files
	if p.nobody && os.Geteuid() == 0 {
		s.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if p.tty != nil {
		s.cmd.SysProcAttr.Setctty = true
		s.cmd.Stdin = p.tty
	}
	s.cmd.Stdout = sink(s.out, p.out, p.tty)
	s.cmd.Stderr = sink(s.log, p.err, p.tty)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		// The status is in ProcessState; Wait's error says no more.
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(s.end)
	return s
}

// sink is the first file there is, or the journal.
func sink(j *journal, files ...*os.File) io.Writer {
	for _, f := range files {
		if f != nil {
			return f
		}
	}
	return j
}

// bareEnv is an environment without any PHALANX_ variable.
func bareEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// serve starts a master that logs requests, on a free port of 127.0.0.1, and
// returns when it serves.
func serve(t *testing.T, base string, args ...string) *server {
	t.Helper()
	return serveAs(t, plan{args: append(verbosely(base), args...)})
}

// verbosely is the command line of a master that names its port in its log.
func verbosely(base string) []string {
	return []string{"--base", base, "--bind", "127.0.0.1", "--port", "0", "-v"}
}

// serveAs is serve for a master that is started in a special way.
func serveAs(t *testing.T, p plan) *server {
	t.Helper()
	s := launch(t, p)
	s.awaitServing()
	return s
}

// awaitServing waits until the log says that the pool serves, and where.
func (s *server) awaitServing() {
	s.t.Helper()
	serving := s.log.await(s.t, 15*time.Second, "serving", s.exited, func(all []event) bool {
		return len(withMessage(all, "serving")) > 0
	})
	s.port = withMessage(serving, "serving")[0].number("port")
	if s.port == 0 {
		s.t.Fatalf("the serving line names no port:\n%s", s.log)
	}
}

// serveSilently starts a master without -v and returns when it answers.
func serveSilently(t *testing.T, p plan) *server {
	t.Helper()
	port := freePort(t)
	p.args = append(p.args, "--bind", "127.0.0.1", "--port", strconv.Itoa(port))
	s := launch(t, p)
	s.port = port
	s.awaitAnswer()
	return s
}

// awaitAnswer waits until a request is answered, whatever the answer.
func (s *server) awaitAnswer() {
	s.t.Helper()
	await(s.t, 15*time.Second, "an answer from the silent master", func() bool {
		if s.gone() {
			s.t.Fatalf("the master ended with %d: %s", s.status(), s.log)
		}
		_, err := exchange(s.port, request("HEAD", "/", "Connection: close"))
		return err == nil
	})
}

// pid is the master's process, or that of the command before it.
func (s *server) pid() int { return s.cmd.Process.Pid }

// session is every living process of the tree.
func (s *server) session() []process { return inSession(s.pid()) }

// workers are the processes that the master has started and that live.
func (s *server) workers() []int { return childrenOf(s.pid()) }

func (s *server) url(path string) string {
	return "http://" + loopback(s.port) + path
}

func (s *server) gone() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// status is the exit code, or -1 after a signal.
func (s *server) status() int { return s.cmd.ProcessState.ExitCode() }

// interrupt is Ctrl-C for the master alone.
func (s *server) interrupt() { s.signal(syscall.SIGINT) }

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.killed = s.killed || sig == syscall.SIGKILL
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("signal %v to the master: %v", sig, err)
	}
}

// awaitRefusal waits until new connections are refused: the drain has begun.
func (s *server) awaitRefusal() {
	s.t.Helper()
	await(s.t, 3*time.Second, "refusing new connections", func() bool { return refused(s.port) })
}

// wait returns the exit code once the master is gone, and checks that it
// left no process behind.
func (s *server) wait(within time.Duration) int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(within):
		s.t.Fatalf("the master still runs after %v: %v\n%s", within, s.session(), s.log.tail())
	}
	if left := s.session(); len(left) > 0 {
		s.t.Errorf("the master is gone and left %v behind", left)
	}
	return s.status()
}

// stop interrupts the master and expects it to drain with status 0.
func (s *server) stop(within time.Duration) {
	s.t.Helper()
	s.interrupt()
	if code := s.wait(within); code != 0 {
		s.t.Errorf("exit status %d after SIGINT, want 0:\n%s", code, s.log.tail())
	}
}

// end is the cleanup of every master.
func (s *server) end() {
	if !s.gone() && !s.killed {
		s.interrupt()
		select {
		case <-s.exited:
			if code := s.status(); code != 0 {
				s.t.Errorf("exit status %d after SIGINT, want 0", code)
			}
		case <-time.After(8 * time.Second):
			s.t.Errorf("the master still runs 8 s after SIGINT: %v", s.session())
		}
	}
	for _, p := range s.session() {
		s.t.Errorf("process %v was left behind", p)
		// It may be gone by now, and then there is nothing to do.
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	<-s.exited
	if s.t.Failed() {
		s.t.Logf("%s\nended with %d; its last lines:\n%s", strings.Join(s.cmd.Args, " "), s.status(), s.log.tail())
	}
}
