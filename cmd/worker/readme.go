package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

const (
	renderTime = 10 * time.Second // time limit of rendering, including the wait for other READMEs
	maxHTML    = 512 << 10        // largest result in bytes
)

// errHTML means that the master returned no HTML, or too much.
var errHTML = errors.New("render README: not rendered")

// renderer returns a function that asks the master to render Markdown in a process. The
// libraries would cost every worker memory and start-up time, and a worker cannot start
// processes.
func renderer(channel *ipc.Channel) func(markdown []byte) ([]byte, error) {
	return func(markdown []byte) ([]byte, error) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("render README: %w", err)
		}
		socket := os.NewFile(uintptr(pair[0]), "renderer")
		defer socket.Close()
		limit := unix.NsecToTimeval(int64(renderTime))
		err = errors.Join(
			unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
			unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
			channel.SendFile(ipc.Render{}, pair[1]),
		)
		unix.Close(pair[1])
		if err != nil {
			return nil, err
		}
		if _, err = socket.Write(markdown); err != nil {
			return nil, err
		}
		if err := unix.Shutdown(pair[0], unix.SHUT_WR); err != nil {
			return nil, err
		}
		html, err := io.ReadAll(io.LimitReader(socket, maxHTML+1))
		if err == nil && (len(html) == 0 || len(html) > maxHTML) {
			err = errHTML
		}
		return html, err
	}
}
