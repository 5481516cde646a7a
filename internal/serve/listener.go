package serve

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// accept accepts a bounded number of connections and serves each as far as it
// goes: with deferred accepting its first request is already there.
func (l *Loop) accept() error {
	for range acceptBatch {
		fd, errno := rawAccept(l.listener)
		switch {
		case errno == 0:
			l.serve(l.newPeer(fd))
		case errno == unix.EAGAIN:
			return nil
		case isExhausted(errno):
			l.cfg.Log.Warn().Err(errno).Msg("accepting paused")
			l.pause()
			return nil
		case !isPassing(errno):
			return fmt.Errorf("accept: %w", errno)
		}
	}
	return nil
}

// beginDrain takes what waits in the accept queue, ends accepting, and lets
// every connection know.
func (l *Loop) beginDrain() {
	l.draining = true
	for l.listener >= 0 {
		fd, errno := rawAccept(l.listener)
		switch {
		case errno == 0:
			l.serve(l.newPeer(fd))
		case isExhausted(errno):
			// What is in the queue has been promised an answer: it has to
			// wait until descriptors are free.
			l.pause()
			l.drainPeers()
			return
		case errno == unix.EAGAIN || !isPassing(errno):
			l.closeListener()
		}
	}
	l.drainPeers()
}

func (l *Loop) drainPeers() {
	for _, p := range l.peers {
		if p != nil {
			p.conn.Drain(l.now)
			l.arm(p)
		}
	}
}

// pause stops accepting for a moment: out of descriptors or memory, there is
// nothing to be had by trying again at once.
func (l *Loop) pause() {
	if l.resume == 0 {
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, l.listener, nil)
	}
	l.resume = l.now.Mono + acceptPause
}

// goOn ends a pause.
func (l *Loop) goOn() {
	l.resume = 0
	rawEpollAdd(l.epoll, l.listener, unix.EPOLLIN)
	if l.draining {
		l.beginDrain()
	}
}

func (l *Loop) closeListener() {
	if l.listener >= 0 {
		unix.Close(l.listener)
		l.listener = -1
		l.resume = 0
	}
}
