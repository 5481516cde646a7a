// Command floor is the floor of a comparison, in Go. Like c/floor.c it runs one epoll loop
// of raw system calls in each process and sends one fixed response. What it costs more
// than the C program is the cost of Go's runtime in such a loop; what a server costs more
// than this program is the cost of the server's own work.
//
//	floor PORT FILE WORKERS keep|close
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inherited is the descriptor on which a worker inherits its listener.
const inherited = 3

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "--version" {
		fmt.Fprintln(stdout, strings.TrimPrefix(runtime.Version(), "go"))
		return 0
	}
	if len(args) == 3 && args[0] == "worker" { // floor worker FILE keep|close
		return end(stderr, work(args[1], args[2] == "close"))
	}
	if len(args) != 4 {
		fmt.Fprintln(stderr, "floor PORT FILE WORKERS keep|close")
		return 64
	}
	workers, err := strconv.Atoi(args[2])
	if err != nil || workers < 1 {
		fmt.Fprintf(stderr, "floor: invalid number of workers %q\n", args[2])
		return 64
	}
	return end(stderr, launch(args[0], args[1], workers, args[3]))
}

func end(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "floor: %v\n", err)
	return 1
}

// launch starts the workers once all their sockets listen, and returns when one has exited.
func launch(port, file string, workers int, mode string) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // Pdeathsig is sent when the forking thread exits
	over := make(chan error, workers)
	var pool []*exec.Cmd
	for range workers {
		socket, err := listen(port)
		if err != nil {
			return err
		}
		defer socket.Close()
		cmd := exec.Command(path, "worker", file, mode)
		cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{socket}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		pool = append(pool, cmd)
	}
	for _, cmd := range pool {
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() { over <- cmd.Wait() }()
	}
	return <-over // until SIGTERM; workers do not exit by themselves
}

func listen(port string) (*os.File, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			if failed == nil {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			}
			if failed == nil {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1)
			}
		})
		if err != nil {
			return err
		}
		return failed
	}}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp4", ":"+port)
	if err != nil {
		return nil, err
	}
	defer l.Close() // File returns a duplicate
	return l.(*net.TCPListener).File()
}
