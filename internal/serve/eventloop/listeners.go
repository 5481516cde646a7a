package eventloop

import (
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
)

const sharedEvery = time.Second // between checks of shared sockets

// listener is one of a loop's listening sockets.
type listener struct {
	serve.Listener
	ready bool // there is a connection to accept in this turn
}

// watch makes epoll report connections. For a shared socket the kernel wakes one of the
// waiting workers.
func (l *listener) watch(epoll int) syscall.Errno {
	events := uint32(unix.EPOLLIN)
	if l.Shared {
		events |= unix.EPOLLEXCLUSIVE
	}
	return rawEpollAdd(epoll, l.FD, events)
}

// yield puts this worker behind the others that wait for connections of a shared socket. The
// kernel wakes the first one that is idle, in the order in which they were added. Without
// yield one worker would get all connections that stay open, as long as it is idle.
func (l *listener) yield(epoll int) {
	unix.EpollCtl(epoll, unix.EPOLL_CTL_DEL, l.FD, nil)
	l.watch(epoll)
}

// watchAll registers the eventfd and the listening sockets with epoll.
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

// listens reports whether a descriptor is a listening socket, and notes that it has
// connections.
func (l *Loop) listens(fd int) bool {
	for i := range l.listeners {
		if from := &l.listeners[i]; from.FD == fd {
			from.ready = true
			return true
		}
	}
	return false
}

// checkShared reports whether to accept from shared sockets without an event, which the loop
// does once a second: the kernel may have woken a worker that has died since.
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

// leave closes the sockets whose queues are left to other processes. It accepts from shared
// ones first: for the connections in their queues the kernel may have woken this worker only.
func (l *Loop) leave() {
	for i := len(l.listeners) - 1; i >= 0; i-- {
		from := l.listeners[i].Listener
		if !l.how.Leaves(from) {
			continue
		}
		if from.Shared && l.resume == 0 {
			_ = l.accept(from) // if it fails, there is nothing to accept
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
	// The master keeps the socket open, so closing this descriptor would not remove the
	// socket from the epoll instance.
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
