package main

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// renderer renders Markdown in a process of its own, by the command readme of the
// master's program: the libraries for it would cost every worker memory and time to
// start, and a confined worker cannot start it later. It is for one caller at a time.
type renderer struct {
	mu      sync.Mutex
	to      *os.File // markdown, as its length in four bytes and as many
	from    *os.File // HTML, in the same way; as empty if it cannot be made
	stopped bool     // after an error nobody knows what comes next
}

const (
	renderTime = 5 * time.Second // that a README may take
	maxHTML    = 512 << 10       // bytes that may come of it
)

// errRenderer is why Markdown cannot be rendered.
var errRenderer = errors.New("render README: no renderer")

// startRenderer starts the process, which ends with this one.
func startRenderer(path string) (*renderer, error) {
	// What a worker was started with is not for other programs.
	const most = 64
	for fd := 3; fd < most; fd++ {
		unix.CloseOnExec(fd) // there may be none of this number
	}
	in, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	from, out, err := os.Pipe()
	if err != nil {
		to.Close()
		return nil, err
	}
	defer out.Close()
	p, err := os.StartProcess(path, []string{path, "readme"}, &os.ProcAttr{Files: []*os.File{in, out, out}, Env: []string{}})
	if err != nil {
		to.Close()
		from.Close()
		return nil, err
	}
	_ = p.Release() // nobody waits for it: it ends when to is closed
	return &renderer{to: to, from: from}, nil
}

// html renders Markdown, in the time that a README may take.
func (r *renderer) html(markdown []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, errRenderer
	}
	html, err := r.ask(markdown)
	if err != nil {
		r.close()
	}
	return html, err
}

func (r *renderer) ask(markdown []byte) ([]byte, error) {
	deadline := time.Now().Add(renderTime)
	if err := errors.Join(r.to.SetWriteDeadline(deadline), r.from.SetReadDeadline(deadline)); err != nil {
		return nil, err
	}
	if _, err := r.to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(markdown))), markdown...)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(r.from, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxHTML {
		return nil, errRenderer
	}
	html := make([]byte, n)
	_, err := io.ReadFull(r.from, html)
	return html, err
}

// stop ends the process.
func (r *renderer) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
}

func (r *renderer) close() {
	if !r.stopped {
		r.stopped = true
		r.to.Close()
		r.from.Close()
	}
}
