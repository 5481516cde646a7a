//go:build thief

package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/accesslog"
	"phalanx/internal/ipc"
)

// floodTime is how long a hostile worker floods the master.
const floodTime = time.Second

// hostile floods the master for floodTime with the kind of message in what. Its own log lines
// are long, forged ones short.
func hostile(slot int, what string) {
	own := logLine(slot, os.Getpid(), strings.Repeat("flood", 700))
	forged, sibling := logLine(slot, 1, "forged"), logLine(1-slot, os.Getpid(), "forged")
	forged = slices.Concat(forged, sibling, []byte("\x1b[2J{\"message\":\"forged\"}\n"))
	do := map[string]func(){
		"messages": func() { send(ipc.Encode(ipc.Remaining{Connections: 1, Bytes: 1 << 62})) },
		"lies":     func() { send(ipc.Encode(ipc.Confined{Sandboxed: true, Missing: "\x1b[31m\n"})) },
		"renders":  func() { send(ipc.Encode(ipc.Render{}), 3, 3, 3) },
		"garbage":  func() { send(bytes.Repeat([]byte{0xff}, ipc.MaxMessage)) },
		"output":   func() { _, _ = os.Stderr.Write(bytes.Repeat([]byte("p\n"), 30000)) },
		"bell":     func() { accesslog.Wake(ipc.BellFD) },
		"log":      func() { _, _ = unix.Write(ipc.LogFD, own) },
		"forgery":  func() { _, _ = unix.Write(ipc.LogFD, forged) },
	}[what]
	if do == nil {
		return
	}
	for begin := time.Now(); time.Since(begin) < floodTime; {
		do()
	}
}

// logLine returns a log line of a worker.
func logLine(slot, pid int, message string) []byte {
	return fmt.Appendf(nil, `{"level":"info","slot":%d,"pid":%d,"message":"%s"}`+"\n", slot, pid, message)
}

// send sends a message with descriptors on the control channel.
func send(p []byte, fds ...int) {
	_, _ = unix.SendmsgN(ipc.ControlFD, p, unix.UnixRights(fds...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}
