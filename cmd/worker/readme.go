package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

const (
	renderTime = 5 * time.Second // that a README may take
	maxHTML    = 512 << 10       // bytes that may come of it
	maxOwn     = 64              // more descriptors than a worker is started with
)

// errHTML is why the output of a renderer is not taken.
var errHTML = errors.New("render README: too long")

// renderer returns a function that renders Markdown in a process of its own, by the
// command readme of the program at a path: the libraries for it would cost every worker
// memory and time to start, and what they read may come from anywhere.
func renderer(path string) func(markdown []byte) ([]byte, error) {
	// What a worker was started with is not for other programs.
	for fd := 3; fd < maxOwn; fd++ {
		unix.CloseOnExec(fd) // there may be none of this number
	}
	return func(markdown []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(context.Background(), renderTime)
		defer cancel()
		c := exec.CommandContext(ctx, path, "readme")
		c.Stdin, c.Env, c.WaitDelay = bytes.NewReader(markdown), []string{}, time.Second
		html, err := c.Output()
		if err == nil && len(html) > maxHTML {
			err = errHTML
		}
		return html, err
	}
}
