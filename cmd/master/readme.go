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

// renderTime is how long the rendering of one README may take.
const renderTime = 5 * time.Second

// identityKey is the environment variable that tells a process which user to become
// before it renders.
const identityKey = "RENDER_AS"

// renderer starts a process for each README that a worker wants rendered, one after the
// other: what parses text from anywhere is neither the master nor a worker.
type renderer struct {
	path     string // of this program; "": unknown, nothing is rendered
	identity string // that the processes become; "": they stay what this one is
	turn     sync.Mutex
	running  sync.WaitGroup
	mu       sync.Mutex // held while none is started; guards what follows
	ended    context.Context
	end      context.CancelFunc
}

func newRenderer(identity string) *renderer {
	r := &renderer{identity: identity}
	r.path, _ = executable()
	r.ended, r.end = context.WithCancel(context.Background())
	return r
}

// render lets a process read Markdown from a socket until its end, and write HTML back.
// It closes the socket, and does not wait, except from suspend to resume.
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
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		_ = c.Run() // the worker notices that nothing has come
	})
}

// suspend ends what is under way, and starts nothing until resume. The program after an
// upgrade would know nothing of it.
func (r *renderer) suspend() {
	r.mu.Lock()
	r.end()
	r.running.Wait()
}

func (r *renderer) resume() {
	r.ended, r.end = context.WithCancel(context.Background())
	r.mu.Unlock()
}

// close ends what is under way, and what is still to come.
func (r *renderer) close() {
	r.suspend()
	r.mu.Unlock()
}

// limit bounds the time and memory of this process, in which text from anywhere is parsed.
// An error means that a lower limit is in force.
func limit() {
	const seconds, memory = uint64(renderTime / time.Second), 512 << 20
	_ = unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: seconds, Max: seconds})
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory})
}

// rendered turns Markdown on standard input into HTML, in a sandbox that can open
// nothing.
func rendered(stdin io.Reader, stdout io.Writer) error {
	if err := sandbox.Become(os.Getenv(identityKey)); err != nil {
		return err
	}
	limit()
	sandbox.Confine() // as far as the kernel can
	markdown, err := io.ReadAll(io.LimitReader(stdin, readme.Max))
	if err != nil {
		return err
	}
	html, err := readme.HTML(tempted(markdown))
	if err == nil {
		_, err = stdout.Write(html)
	}
	return err
}
