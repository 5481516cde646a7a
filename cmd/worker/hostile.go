//go:build thief

package main

import (
	"bytes"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/accesslog"
	"phalanx/internal/ipc"
)

// floodTime is how long a hostile worker floods, in which nothing else is done.
const floodTime = 2 * time.Second

// hostile does for a while, as fast as it can, what costs the master most.
func hostile(what string) {
	do := map[string]func(){
		"messages": func() { send(ipc.Encode(nil, ipc.Remaining{Connections: 1, Bytes: 1 << 62})) },
		"lies":     func() { send(ipc.Encode(nil, ipc.Confined{Sandboxed: true, Missing: "\x1b[31m\n"})) },
		"renders":  func() { send(ipc.Encode(nil, ipc.Render{}), 3, 3, 3) },
		"garbage":  func() { send(bytes.Repeat([]byte{0xff}, ipc.MaxMessage)) },
		"output":   func() { _, _ = os.Stderr.Write(bytes.Repeat([]byte("panic: a\n"), 7000)) },
		"bell":     func() { accesslog.Wake(ipc.BellFD) },
	}[what]
	if do == nil {
		return
	}
	for begin := time.Now(); time.Since(begin) < floodTime; {
		do()
	}
}

// send puts a message with copies of descriptors into the control channel.
func send(p []byte, fds ...int) {
	_, _ = unix.SendmsgN(ipc.ControlFD, p, unix.UnixRights(fds...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}
