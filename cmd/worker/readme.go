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
	renderTime = 10 * time.Second // that rendering may take, its wait for a turn included
	maxHTML    = 512 << 10        // bytes that may come of it
)

// errHTML is why nothing is made of a README.
var errHTML = errors.New("render README: not rendered")

// renderer returns a function that has the master start a process that renders
// Markdown. The libraries for it would cost every worker memory and time to start, and
// a worker cannot start a process itself.
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
