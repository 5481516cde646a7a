package eventloop

import (
	"net"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// awaitEvent waits until epoll reports a descriptor.
func awaitEvent(t *testing.T, l *Loop, what string, fd int) {
	t.Helper()
	systest.Await(t, what, func() bool {
		events := make([]unix.EpollEvent, 4)
		n, _ := unix.EpollWait(l.epoll, events, 0)
		return slices.ContainsFunc(events[:max(0, n)], func(e unix.EpollEvent) bool { return int(e.Fd) == fd })
	})
}

// Listening sockets and handover channels that epoll refuses at the end of a pause, for instance because memory is short,
// are registered later.
func TestRefusedByEpoll(t *testing.T) {
	l, err := New(relayConfig(uncachedFiles(t, t.TempDir())))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l.epoll)
	defer unix.Close(l.wake)
	listening, addr := servetest.Listen(t)
	defer unix.Close(listening)
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(from)
	defer unix.Close(to)
	l.listeners, l.from = []listener{{Listener: serve.Listener{FD: listening}}}, []int{to}
	l.resume, l.takeAt = l.now.Mono, l.now.Mono
	epoll := l.epoll
	l.epoll = -1 // every call fails
	l.acceptTimers()
	l.takeOverAll()
	if l.resume <= l.now.Mono || l.takeAt <= l.now.Mono {
		t.Fatalf("accepting resumes at %v, and taking over at %v, not later than %v", l.resume, l.takeAt, l.now.Mono)
	}
	l.epoll = epoll
	l.now.Mono += serve.AcceptPause
	l.acceptTimers()
	l.takeOverAll()
	if l.resume != 0 || l.takeAt != 0 {
		t.Fatalf("accepting resumes at %v, and taking over at %v, not at once", l.resume, l.takeAt)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	awaitEvent(t, l, "a new connection", listening)
	unix.Shutdown(from, unix.SHUT_WR)
	awaitEvent(t, l, "the end of a handover channel", to)
}
