package target

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"phalanx/tools/internal/proctree"
)

const (
	readyWithin = 20 * time.Second
	stopWithin  = 15 * time.Second
	mostWords   = 4 << 10 // bytes kept of a server's output
)

// Server is a running target. It has its own process group, so that a Ctrl-C
// typed at the benchmark does not reach it.
type Server struct {
	First  time.Duration // from launch to the first response
	target Target
	port   int
	secure bool
	admin  string
	cmd    *exec.Cmd
	words  words
	exited chan struct{} // closed when the process has been reaped
}

// words keeps the beginning of a server's output.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p[:min(len(p), max(0, mostWords-w.text.Len()))])
	return len(p), nil
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(w.text.String())
}

// Start launches the target and waits until it has responded to a request.
func (t Target) Start(s Site) (*Server, error) {
	args, err := t.Command(s)
	if err != nil {
		return nil, err
	}
	v := &Server{target: t, port: s.Port, secure: s.secure(), cmd: exec.Command(args[0], args[1:]...), exited: make(chan struct{})}
	if t.admin {
		v.admin = socket(s)
	}
	v.cmd.Stdout, v.cmd.Stderr = &v.words, &v.words
	if t.logs {
		log, err := os.Create(filepath.Join(s.Scratch, t.Name+".log"))
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", t.Name, err)
		}
		defer log.Close()
		v.cmd.Stderr = log
	}
	v.cmd.Env = append(os.Environ(), "HOME="+s.Scratch)
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	v.cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	begin := time.Now()
	if err := v.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", t.Name, err)
	}
	go func() {
		defer close(v.exited)
		_ = v.cmd.Wait() // only the exit matters
	}()
	if err := v.await(begin.Add(readyWithin)); err != nil {
		v.Kill()
		return nil, err
	}
	v.First = time.Since(begin)
	return v, nil
}

// Admin returns the path of the admin endpoint's socket, "" if there is none.
func (v *Server) Admin() string { return v.admin }

// await sends requests until the server responds.
func (v *Server) await(deadline time.Time) error {
	for {
		err := v.ask()
		if err == nil {
			return nil
		}
		select {
		case <-v.exited:
			return fmt.Errorf("%s exited at once: %s", v.target.Name, v.words.String())
		case <-time.After(time.Millisecond / 2):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not respond within %v: %w; its output is %q", v.target.Name, readyWithin, err, v.words.String())
		}
	}
}

func (v *Server) ask() error {
	c, err := net.DialTimeout("tcp", v.Address(), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if v.secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // the certificate does not matter
	}
	_ = c.SetDeadline(time.Now().Add(readyWithin)) // a failure shows in the read
	if _, err := c.Write([]byte("GET /index.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")); err != nil {
		return err
	}
	head := make([]byte, 64)
	n, err := c.Read(head)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(head[:n], []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("unexpected response %q", head[:n])
	}
	return nil
}

// Address returns the address at which the server listens.
func (v *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(v.port)) }

// URL returns the URL of a path.
func (v *Server) URL(path string) string {
	if v.secure {
		return "https://" + v.Address() + path
	}
	return "http://" + v.Address() + path
}

// PID returns the pid of the launched process.
func (v *Server) PID() int { return v.cmd.Process.Pid }

// Stop stops the server by its signal and returns how long that took. A server
// that does not exit within 15 s is killed, which is an error.
func (v *Server) Stop() (time.Duration, error) {
	begin := time.Now()
	if err := v.cmd.Process.Signal(v.target.Stop); err != nil && !errors.Is(err, os.ErrProcessDone) {
		v.Kill()
		return 0, fmt.Errorf("stop %s: %w", v.target.Name, err)
	}
	select {
	case <-v.exited:
		took := time.Since(begin)
		v.killGroup() // orphans, if any
		return took, nil
	case <-time.After(stopWithin):
		v.Kill()
		return 0, fmt.Errorf("%s did not exit within %v of its signal", v.target.Name, stopWithin)
	}
}

// Kill kills the server, and returns when all of its processes are gone and the
// port is free.
func (v *Server) Kill() {
	proc := proctree.Reader{Proc: os.DirFS("/proc")}
	tree, _ := proc.Tree(v.PID())      // empty if it has exited already
	for _, p := range tree.Processes { // workers may have their own groups
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
	v.killGroup()
	<-v.exited
	end := time.Now().Add(2 * time.Second) // for all of them: a zombie waits for its parent
	for _, p := range tree.Processes {
		for syscall.Kill(p.PID, 0) == nil && time.Now().Before(end) {
			time.Sleep(time.Millisecond)
		}
	}
}

func (v *Server) killGroup() { _ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL) }
