package supervise

import (
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
)

// confined takes a worker's word about what it may do. What all of them lack is told
// once, not for each.
func (p *pool) confined(w *worker, m ipc.Confined) {
	if m.Unreadable && !p.unreadable {
		p.unreadable = true
		p.Alert("workers may not read what they serve as the user that they run as; let everybody read it (chmod o+rX), or choose another --user")
	}
	if !m.Sandboxed {
		return
	}
	w.sandbox = status.SandboxFull
	missing := human.Visible(m.Missing)
	if missing == "" {
		return
	}
	w.sandbox = status.SandboxPartial + missing
	if p.unconfined != missing {
		p.unconfined = missing
		p.Log.Info().Str("missing", missing).Msg("sandbox of workers incomplete")
	}
}

// forbidden describes the system call for which the kernel ended a process with
// SIGSYS: the kernel's log names it by number, if it can be read.
func forbidden(pid int) string {
	const what = "a system call that its sandbox forbids"
	if call := loggedCall("/dev/kmsg", pid); call != "" {
		return "system call " + call + ", which its sandbox forbids"
	}
	return what + "; the kernel's log names it (type=1326)"
}

// killedCall is what the kernel logs of a process that its filter of system calls
// has ended (seccomp(2), AUDIT_SECCOMP).
var killedCall = regexp.MustCompile(`type=1326 .* pid=(\d+) .* syscall=(\d+) `)

// loggedCall returns the number of the last system call for which the process was
// ended, according to the kernel's log; "" if it does not say so.
func loggedCall(log string, pid int) (call string) {
	fd, err := unix.Open(log, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	for {
		var space [8192]byte // one record at each read(2)
		n, err := unix.Read(fd, space[:])
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EPIPE): // EPIPE: some were overwritten meanwhile
			continue
		case err != nil || n == 0: // EAGAIN: there are no more
			return call
		}
		if m := killedCall.FindSubmatch(space[:n]); m != nil && string(m[1]) == fmt.Sprint(pid) {
			call = string(m[2])
		}
	}
}
