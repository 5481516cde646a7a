package eventloop

import (
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
)

const (
	sharedEvery = time.Second // between checks of shared sockets
	// sharedMost is how many connections a drain takes at the end from a shared socket:
	// more than wait in a full queue. Nobody can be refused there when the master is gone.
	sharedMost = 4096
)

// listener is one of a loop's listening sockets.
type listener struct {
	serve.Listener
	ready bool // there is a connection to accept in this turn
}

// watch makes epoll report connections. Of the workers that wait for those of a shared
// socket the kernel wakes one.
func (l *listener) watch(epoll int) syscall.Errno {
	events := uint32(unix.EPOLLIN)
	if l.Shared {
		events |= unix.EPOLLEXCLUSIVE
	}
	return rawEpollAdd(epoll, l.FD, events)
}

// yield lets the workers that wait for connections of a shared socket go first. The
// kernel wakes the one that has waited longest since it was added, and so always the
// same as long as that is idle: it would have all connections that stay open.
func (l *listener) yield(epoll int) {
	unix.EpollCtl(epoll, unix.EPOLL_CTL_DEL, l.FD, nil)
	l.watch(epoll)
}

// watchAll makes epoll report what Run begins with.
func (l *Loop) watchAll() syscall.Errno {
	errno := rawEpollAdd(l.epoll, l.wake, unix.EPOLLIN)
	for i := range l.listeners {
		from := &l.listeners[i]
		if errno == 0 {
			errno = from.watch(l.epoll)
		}
		if from.Shared {
			l.sharedAt = l.now.Mono + sharedEvery
		}
	}
	return errno
}

// listens reports whether an event's descriptor is a listening socket, and notes that
// it has connections.
func (l *Loop) listens(fd int) bool {
	for i := range l.listeners {
		if from := &l.listeners[i]; from.FD == fd {
			from.ready = true
			return true
		}
	}
	return false
}

// checkShared reports whether shared sockets are to be accepted from without an event,
// as they are once a second: the kernel may have woken a worker that died since.
func (l *Loop) checkShared() bool {
	if l.sharedAt == 0 || l.now.Mono < l.sharedAt {
		return false
	}
	l.sharedAt = 0
	for i := range l.listeners {
		if from := &l.listeners[i]; from.Shared {
			from.ready = true
			l.sharedAt = l.now.Mono + sharedEvery
		}
	}
	return l.sharedAt != 0
}

// leave closes the sockets whose queues are left to other processes. For what waits at
// a shared one the kernel may have woken this worker alone.
func (l *Loop) leave() {
	for i := len(l.listeners) - 1; i >= 0; i-- {
		from := l.listeners[i].Listener
		if !l.how.Leaves(from) {
			continue
		}
		if from.Shared && l.resume == 0 {
			_ = l.accept(from) // if it fails, there is nothing to take
		}
		l.closeListener(i)
	}
}

func (l *Loop) closeListeners() {
	for len(l.listeners) > 0 {
		l.closeListener(0)
	}
}

// closeListener closes the listening socket with this index.
func (l *Loop) closeListener(i int) {
	// The socket lives on in the master; closing this descriptor alone
	// would leave it in the epoll instance.
	unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, l.listeners[i].FD, nil)
	unix.Close(l.listeners[i].FD)
	l.listeners = slices.Delete(l.listeners, i, i+1)
	if len(l.listeners) > 0 {
		return
	}
	l.resume, l.closeAt = 0, 0
	if l.draining && l.cfg.QueuesEmpty != nil {
		l.cfg.QueuesEmpty()
	}
}
