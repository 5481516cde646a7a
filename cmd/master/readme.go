package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/readme"
	"phalanx/internal/sandbox"
)

// renderTime is the time limit of rendering one README.
const renderTime = 5 * time.Second

// identityKey is the environment variable with the user of the rendering process.
const identityKey = "RENDER_AS"

// renderer renders READMEs for workers, one after the other, each in a process of its own:
// neither the master nor a worker parses untrusted Markdown.
type renderer struct {
	path     string // of this program; "": unknown, nothing is rendered
	identity string // user of the processes; "": the master's
	turn     sync.Mutex
	running  sync.WaitGroup
	mu       sync.Mutex // held from suspend to resume; guards the fields below
	ended    context.Context
	end      context.CancelFunc
}

func newRenderer(identity string) *renderer {
	r := &renderer{identity: identity}
	r.path, _ = executable()
	r.ended, r.end = context.WithCancel(context.Background())
	return r
}

// render starts a process that reads Markdown from socket until end-of-file and writes HTML
// back. It closes socket. It does not block, except from suspend to resume.
func (r *renderer) render(socket *os.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ended := r.ended
	r.running.Go(func() {
		defer socket.Close()
		r.turn.Lock()
		defer r.turn.Unlock()
		if r.path == "" || ended.Err() != nil {
			return
		}
		ctx, cancel := context.WithTimeout(ended, renderTime)
		defer cancel()
		c := exec.CommandContext(ctx, r.path, "readme")
		c.Stdin, c.Stdout, c.Env = socket, socket, []string{identityKey + "=" + r.identity}
		c.Stderr = io.Discard // os/exec would open /dev/null for nil
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		_ = c.Run() // on errors the worker gets no HTML
	})
}

// suspend kills running processes and starts none until resume, because the new binary of an
// upgrade would not know them.
func (r *renderer) suspend() {
	r.mu.Lock()
	r.end()
	r.running.Wait()
}

func (r *renderer) resume() {
	r.ended, r.end = context.WithCancel(context.Background())
	r.mu.Unlock()
}

// close kills running processes and cancels waiting ones.
func (r *renderer) close() {
	r.suspend()
	r.mu.Unlock()
}

// limit limits the CPU time and memory of this process, which parses untrusted text. Errors
// are ignored: a lower limit is in force then.
func limit() {
	const seconds, memory = uint64(renderTime / time.Second), 512 << 20
	_ = unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: seconds, Max: seconds})
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory})
}

// runReadme converts Markdown on standard input to HTML, in a sandbox without access to files.
func runReadme(stdin io.Reader, stdout io.Writer) error {
	if err := sandbox.Become(os.Getenv(identityKey)); err != nil {
		return err
	}
	limit()
	_ = sandbox.Confine() // as far as the kernel can
	markdown, err := io.ReadAll(io.LimitReader(stdin, readme.Max))
	if err != nil {
		return err
	}
	html, err := readme.HTML(runAttempt(markdown))
	if err == nil {
		_, err = stdout.Write(html)
	}
	return err
}
