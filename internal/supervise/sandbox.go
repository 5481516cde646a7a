package supervise

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
	"phalanx/internal/sandbox"
)

// confined notes a worker's report about its sandbox. What all sandboxes lack is reported once,
// not for each worker.
func (p *pool) confined(w *worker, m ipc.Confined) {
	if !w.readySince.IsZero() {
		return // already reported, before a client could compromise the worker
	}
	if m.Unreadable && !p.unreadable {
		p.unreadable = true
		p.Alert("workers cannot read the document root as the user that they run as; let everybody read it (chmod -R o+rX), or choose another with --user")
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

// forbidden describes the system call for which the kernel killed a process with SIGSYS, if the
// kernel's log can be read.
func forbidden(pid int) string {
	if call, ok := loggedCall("/dev/kmsg", pid); ok {
		return "system call " + sandbox.CallName(call) + ", which its sandbox forbids"
	}
	return "a system call that its sandbox forbids; the kernel's log has its number (type=1326)"
}

// killedCall matches the kernel's log record of a process that its seccomp filter has killed
// (seccomp(2), AUDIT_SECCOMP).
var killedCall = regexp.MustCompile(`type=1326 .* pid=(\d+) .* syscall=(\d+) `)

// loggedCall returns the number of the system call for which the process was killed, if the
// kernel's log has it.
func loggedCall(log string, pid int) (call int, known bool) {
	fd, err := unix.Open(log, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	for {
		var space [8192]byte // one record at each read(2)
		n, err := unix.Read(fd, space[:])
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EPIPE): // EPIPE: some records were overwritten meanwhile
			continue
		case err != nil || n == 0: // EAGAIN: there are no more records
			return call, known
		}
		if m := killedCall.FindSubmatch(space[:n]); m != nil && string(m[1]) == fmt.Sprint(pid) {
			call, err = strconv.Atoi(string(m[2]))
			known = err == nil
		}
	}
}
