// Command impostor is executed in place of a worker. The name under which it is
// executed says how it misbehaves.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"phalanx/internal/ipc"
)

// controlFD is where a worker finds its end of the control channel.
const controlFD = 4

// lifetime bounds the life of a process that ignores signals.
const lifetime = time.Minute

func main() {
	os.Exit(run(filepath.Base(os.Args[0]), os.Stderr))
}

func run(manner string, stderr *os.File) int {
	switch manner {
	case "dying":
		fmt.Fprintln(stderr, "the impostor's last words")
		return 1
	case "deaf":
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	case "garbage":
		// The write fails if the master has closed its end already.
		_, _ = syscall.Write(controlFD, []byte("\xff\x00garbage"))
	case "old":
		control, err := ipc.Open(controlFD)
		if err == nil {
			err = control.Send(ipc.Ready{PID: os.Getpid(), Version: "0.0.0-impostor"})
		}
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
	}
	time.Sleep(lifetime)
	return 0
}
