package supervise

import (
	"syscall"
	"testing"

	"phalanx/internal/ipc"
)

// The way in which a worker died says which of its connections may have caused it.
func TestBlame(t *testing.T) {
	for _, c := range []struct {
		what string
		w    worker
		e    Exit
		want ipc.Blame
	}{
		{"kill from outside", worker{}, Exit{Signal: syscall.SIGKILL}, ipc.BlameNobody},
		{"too much memory", worker{killed: true, killReason: "too much memory"}, Exit{Signal: syscall.SIGKILL}, ipc.BlameNobody},
		{"hung", worker{killed: true, killReason: hung + ": no heartbeat for 5s"}, Exit{Signal: syscall.SIGKILL}, ipc.BlameCurrent},
		{"messages that it must not send", worker{killed: true, invalid: true, killReason: "sent a ipc.Serve"}, Exit{Signal: syscall.SIGKILL}, ipc.BlameCurrent},
		{"panic", worker{}, Exit{Code: 2, Crash: "panic: index out of range"}, ipc.BlameCurrent},
		{"stacks for an operator", worker{}, Exit{Code: 2, Crash: "SIGQUIT: quit"}, ipc.BlameNobody},
		{"damaged memory, reported by the runtime", worker{}, Exit{Code: 2, Crash: "SIGSEGV: segmentation violation"}, ipc.BlameBusy},
		{"error of the runtime", worker{}, Exit{Code: 2, Crash: "fatal error: found bad pointer in Go heap"}, ipc.BlameBusy},
		{"damaged memory", worker{}, Exit{Signal: syscall.SIGBUS}, ipc.BlameBusy},
		{"exit", worker{}, Exit{Code: 1}, ipc.BlameCurrent},
	} {
		if got := blameFor(&c.w, c.e); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
