package eventloop

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/tlsconn"
)

// acceptReady accepts from the listening sockets that have connections. It begins with
// another one in each turn, so that each gets its share if accepting is paused often.
func (l *Loop) acceptReady() error {
	l.first++
	for i := range l.listeners {
		from := &l.listeners[(l.first+i)%len(l.listeners)]
		if !from.ready {
			continue
		}
		if from.ready = false; l.resume != 0 {
			continue
		}
		if err := l.accept(from.Listener); err != nil {
			return err
		}
		if from.Shared && l.resume == 0 {
			from.yield(l.epoll)
		}
	}
	return nil
}

// accept accepts a bounded number of connections and serves each as far as possible:
// with TCP_DEFER_ACCEPT its first request is already there.
func (l *Loop) accept(from serve.Listener) error {
	for range acceptBatch {
		p, errno := l.acceptOne(from)
		switch {
		case errno == 0 && p == nil: // refused
		case errno == 0:
			l.serve(p)
			if l.draining {
				l.closeAt = min(l.now.Mono+l.quietFor, l.drainedAt+l.quietMax)
			}
			if !l.makeRoom(p) {
				l.pause(serve.ErrReserve)
				return nil
			}
		case errno == unix.EAGAIN:
			return nil
		case serve.IsExhausted(errno):
			l.pause(errno)
			return nil
		case !serve.IsPassing(errno):
			return fmt.Errorf("accept: %w", syscall.Errno(errno))
		}
	}
	return nil
}

// acceptOne accepts a connection. It closes the connection and returns nil if the client
// is at its connection limit.
func (l *Loop) acceptOne(from serve.Listener) (*peer, syscall.Errno) {
	fd, client, errno := l.acceptFrom(from)
	if errno != 0 {
		return nil, errno
	}
	if client != nil && l.cfg.Proxied.Contains(*client) {
		return l.newPeer(fd, client, from), 0 // the PROXY header will name the client
	}
	counted, ok := l.limits.Admit(client, l.now.Mono)
	if !ok {
		rawClose(fd)
		return nil, 0
	}
	p := l.newPeer(fd, client, from)
	p.counted = counted
	return p, 0
}

// acceptFrom accepts a connection, and returns the client's address if a feature needs it.
func (l *Loop) acceptFrom(from serve.Listener) (fd int, client *clientip.Addr, errno syscall.Errno) {
	if from.Shared || !l.names {
		if fd, errno = rawAccept(from.FD); from.Shared {
			client = &l.unix
		}
		return fd, client, errno
	}
	if fd, errno = rawAcceptFrom(from.FD, &l.address); errno == 0 {
		client = new(clientip.Addr)
		*client = serve.RawPeer(&l.address)
	}
	return fd, client, errno
}

// peerOf returns the client's address of another worker's connection, if a feature needs it.
func (l *Loop) peerOf(fd int) *clientip.Addr {
	if !l.names {
		return nil
	}
	client := new(clientip.Addr)
	*client = serve.Peer(fd)
	return client
}

// makeRoom closes connections until the limit is no longer exceeded: first those that have
// been idle for longest, then those whose request heads have been incomplete for longest.
// It returns false if that is not enough. It never closes newest, whose first request may
// be on its way.
func (l *Loop) makeRoom(newest *peer) bool {
	for l.limits.Exceeded(l.open) {
		l.limits.Reached(l.now.Mono)
		p, idle := l.longestIdle(newest), true
		if p == nil {
			p, idle = l.longestHead(newest), false
		}
		if p == nil {
			return false
		}
		l.limits.Closed(idle)
		l.close(p)
	}
	return true
}

// longestHead returns the peer whose request head has been incomplete for longest, or else
// the one whose TLS handshake has, but at least for HeadPatience; nil if there is none.
func (l *Loop) longestHead(newest *peer) *peer {
	lists := [...]struct {
		kind    conn.Timer
		timeout time.Duration
	}{{conn.TimerHead, conn.HeadTimeout}, {timerHandshake, tlsconn.HandshakeTimeout}}
	for _, list := range lists {
		for e := l.timers[list.kind].root.next; e.peer != nil; e = e.next {
			p := e.peer
			if l.now.Mono < p.armed-list.timeout+serve.HeadPatience {
				break // the next ones began later
			}
			if p == newest {
				continue
			}
			if !l.unread(p) {
				return p
			}
		}
	}
	return nil
}

// mostSearched is the number of handshakes among which a silent one is searched, at the limit
// for each new connection. Attackers may have begun any number.
const mostSearched = 1000

// longestIdle returns the peer that has been idle for longest; nil if none is idle. A
// connection with a request in its socket, or in records of TLS, is not idle, and one that is
// still delivering with HTTP/2 is spared.
func (l *Loop) longestIdle(newest *peer) *peer {
	spared := 0
	for _, kind := range [...]conn.Timer{conn.TimerIdle, timerHandshake} {
		searched := 0
		for e := l.timers[kind].root.next; e.peer != nil; e = e.next {
			p := e.peer
			if searched++; kind == timerHandshake && searched > mostSearched {
				return nil // longestHead finds one that takes too long
			}
			if p == newest || p.more || p.http().State() != conn.Idle || p.handshaking() && !p.tls.Silent() || len(p.begun()) > 0 {
				continue
			}
			if p.speaksHTTP2() && spared < serve.MostSpared && serve.Delivering(int(p.fd)) {
				spared++
				continue
			}
			if !l.unread(p) {
				return p
			}
		}
	}
	return nil
}

// drain begins a drain, or makes one that waits for another worker and for connections on
// their way end sooner.
func (l *Loop) drain(how serve.Drain) {
	switch {
	case !l.draining:
		l.beginDrain(how)
	case how.Last() && !l.how.Last():
		l.finish()
	}
}

// beginDrain keeps the connections for a handover, or makes each of them drain.
// Connections in the accept queue or on their way are still accepted (see
// serve.Quiet), unless another worker will.
func (l *Loop) beginDrain(how serve.Drain) {
	l.draining, l.how = true, how
	if l.cfg.Report != nil {
		l.reportAt = l.now.Mono
	}
	l.quietFor, l.quietMax = how.Quiet()
	l.drainedAt, l.closeAt = l.now.Mono, l.now.Mono+l.quietFor
	l.leave()
	if !how.HandOver {
		l.drainPeers()
		return
	}
	for _, p := range l.peers {
		if p != nil {
			l.stay(p)
		}
	}
}

// finish drains the connections kept for a handover. From now on it waits for connections
// on their way only as long as the last worker of a pool does.
func (l *Loop) finish() {
	l.how = serve.Drain{}
	l.quietFor, l.quietMax = l.how.Quiet()
	l.drainedAt, l.closeAt = l.now.Mono, l.now.Mono+l.quietFor
	if len(l.listeners) == 0 {
		l.closeAt = 0
	}
	l.endHandover()
	if !l.told {
		l.drainPeers()
	}
}

func (l *Loop) drainPeers() {
	l.told = true
	for _, p := range l.peers {
		if p != nil {
			if p.http().Drain(l.now); p.speaksHTTP2() {
				l.proceed(p)
			}
			l.arm(p)
		}
	}
}

// endAccepting empties the accept queues, and then closes the sockets.
func (l *Loop) endAccepting() {
	for accepted := 0; len(l.listeners) > 0 && l.resume == 0; {
		from := l.listeners[0].Listener
		p, errno := l.acceptOne(from)
		switch {
		case errno == 0:
			if p != nil {
				l.serve(p)
			}
			if accepted++; from.Shared && accepted > serve.SharedMost {
				l.closeListener(0)
			}
		case serve.IsExhausted(errno):
			l.pause(errno)
		case errno == unix.EAGAIN || !serve.IsPassing(errno):
			l.closeListener(0)
		}
	}
}

// pause stops accepting for a moment: without descriptors or memory, trying again at
// once would fail too.
func (l *Loop) pause(err error) {
	l.exhausted("accepting paused", err)
	if l.resume == 0 {
		for _, from := range l.listeners {
			unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, from.FD, nil)
		}
	}
	l.resume = l.now.Mono + serve.AcceptPause
}

// exhausted logs the consequence of a lack of descriptors or memory, unless it was logged
// a moment ago.
func (l *Loop) exhausted(what string, err error) {
	if l.warned == 0 || l.now.Mono-l.warned >= serve.WarnEvery {
		l.warned = l.now.Mono
		l.cfg.Log.Warn().Err(err).Msg(what)
	}
}

// acceptTimers ends a pause, or accepting as a whole, when it is due.
func (l *Loop) acceptTimers() {
	if l.resume != 0 && l.now.Mono >= l.resume {
		if l.limits.Exceeded(l.open) && !l.draining && l.longestIdle(nil) == nil && l.longestHead(nil) == nil {
			l.resume = l.now.Mono + serve.AcceptPause // too few connections have ended
			return
		}
		l.resume = 0
		for i := range l.listeners {
			errno := l.listeners[i].watch(l.epoll) // may still be out of memory
			if errno != 0 && !l.draining {         // endAccepting does without epoll
				l.pause(errno)
				return
			}
		}
	}
	if l.closeAt != 0 && l.now.Mono >= l.closeAt && l.resume == 0 {
		l.endAccepting()
	}
}
